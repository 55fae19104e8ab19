package inlet

import (
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// check is what every event must meet, whatever its dialect, but for the user,
// whom some dialects need not name. The rules are those of Segment's
// specification; alias and group need their second id on a server, which cannot
// fill it in as a browser library does.
func (e *Event) check(l *Limits, userOptional bool) *Problem {
	switch {
	case e.Type == "":
		return problem(CodeTypeRequired, "type")
	case !e.Type.Valid():
		return problem(CodeTypeUnknown, "type")
	case l.tooLong(e.MessageID):
		return problem(CodeMessageIDTooLong, "messageId")
	case e.UserID == "" && e.AnonymousID == "" && !userOptional:
		return problem(CodeNoUserAnonID, "userId")
	case e.Type == TypeTrack && e.Name == "":
		return problem(CodeEventNotDefined, "event")
	case e.Type == TypeGroup && e.GroupID == "":
		return problem(CodeIDRequired, "groupId")
	case e.Type == TypeAlias && e.PreviousID == "":
		return problem(CodeIDRequired, "previousId")
	}
	return nil
}

// tooLong reports whether a message id is beyond the limit.
func (l *Limits) tooLong(messageID string) bool {
	return len(messageID) > l.MessageIDLength && utf8.RuneCountInString(messageID) > l.MessageIDLength
}

// problem returns a Problem with the fixed text of its code.
func problem(code Code, field string) *Problem {
	return &Problem{Code: code, Message: code.text(), Field: field}
}

// problemOf says what a fault of an event's structure is.
func problemOf(f wire.Fault) *Problem {
	switch f.Kind {
	case wire.NotObject:
		return problem(CodeNotObject, "")
	case wire.Duplicate:
		return problem(CodeDuplicateName, f.Name)
	case wire.TooDeep:
		return problem(CodeTooDeep, "")
	case wire.TooManyMembers:
		return problem(CodeTooManyMembers, "")
	case wire.TooLarge:
		return problem(CodeEventTooLarge, "")
	}
	return nil
}
