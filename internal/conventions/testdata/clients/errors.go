package fixture

import "fmt"

type Code string

// Error has an exported method and field of several words, and one that is a plain word.
type Error struct {
	Code       Code
	Message    string
	RetryAfter int
}

func SegmentStream() {}

var codeTable = map[Code]struct {
	retry bool
	text  string
}{
	"a": {false, "the event has an old form, which middleware.Migrate converts"},
	"b": {true, "the limit of SegmentStream; an Error, userId, X-Write-Key; see example.com"},
	"c": {true, "set RetryAfter"},
}

var tooMany = [2]string{"too many", "too many, see inlet.Limits"}

const fixed = "fixed, like Options.RetryAfter"

func refuse(field, message string) *Error {
	return &Error{Code: "a", Message: message}
}

func texts(n int) []*Error {
	return []*Error{
		refuse("RetryAfter is only the field", "the argument names RetryAfter"),
		refuse("", "fine"),
		{Message: fmt.Sprintf("%d events, http.Request", n)},
		{Message: tooMany[n%2]},
		{Message: fixed},
		{Code: "RetryAfter"},
	}
}

// What is not for clients may name anything.
var private = "use inlet.RetryAfter"
