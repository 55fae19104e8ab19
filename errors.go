package inlet

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Code is the machine-readable reason of a refusal. The set is closed; each
// code has one HTTP status and is, or is not, worth a retry by the client.
type Code string

// Why a request was refused.
const (
	CodeInvalidJSON         Code = "invalid_json"
	CodeInvalidRequest      Code = "invalid_request"
	CodePayloadTooLarge     Code = "payload_too_large"
	CodeIncompleteBody      Code = "incomplete_body"
	CodeInvalidEncoding     Code = "invalid_encoding"
	CodeUnsupportedEncoding Code = "unsupported_encoding"
	CodeBodyTimeout         Code = "body_timeout"
	CodeEmptyBatch          Code = "empty_batch"
	CodeBatchNotArray       Code = "batch_not_array"
	CodeTooManyEvents       Code = "too_many_events"
	CodeAllRefused          Code = "all_refused"
	CodeStrictMode          Code = "strict_mode"
	CodeNotFound            Code = "not_found"
	CodeMethodNotAllowed    Code = "method_not_allowed"
	CodeMissingKey          Code = "missing_key"
	CodeUnknownKey          Code = "unknown_key"
	CodeConflictingKeys     Code = "conflicting_keys"
	CodeSourceDisabled      Code = "source_disabled"
	CodeOriginNotAllowed    Code = "origin_not_allowed"
	CodeRateLimited         Code = "rate_limited"
	CodeOverloaded          Code = "overloaded"
	CodeAuthUnavailable     Code = "auth_unavailable"
	CodeSinkUnavailable     Code = "sink_unavailable"
	CodeShuttingDown        Code = "shutting_down"
	CodeInternal            Code = "internal"
)

// Why an event was refused. The names are Segment's where it publishes one.
const (
	CodeNotObject             Code = "not_object"
	CodeDuplicateName         Code = "duplicate_name"
	CodeTooDeep               Code = "too_deep"
	CodeTooManyMembers        Code = "too_many_members"
	CodeEventTooLarge         Code = "event_too_large"
	CodeTypeRequired          Code = "type_required"
	CodeTypeUnknown           Code = "type_unknown"
	CodeNoUserAnonID          Code = "no_user_anon_id"
	CodeIDRequired            Code = "id_required"
	CodeIDNotString           Code = "id_not_string"
	CodeMessageIDTooLong      Code = "message_id_too_long"
	CodeEventNotDefined       Code = "event_not_defined"
	CodeEventNotString        Code = "event_not_string"
	CodeNameNotString         Code = "name_not_string"
	CodePropertiesNotObject   Code = "properties_not_object"
	CodeTraitsNotObject       Code = "traits_not_object"
	CodeContextNotObject      Code = "context_not_object"
	CodeIntegrationsNotObject Code = "integrations_not_object"
	CodePayloadV1             Code = "payload_v1"
	CodeInvalidEvent          Code = "invalid_event"
	CodeRefusedBySink         Code = "refused_by_sink"
)

// codeRow is what a code means on the wire.
type codeRow struct {
	status int
	retry  bool
	text   string // what the client is told if the error has no message of its own
}

// codeTable has a row for every code. Too large is 400, as three of the four
// vendors document it: it is the status on which every SDK gives up. 408 and
// 503 are what every SDK retries.
var codeTable = map[Code]codeRow{
	CodeInvalidJSON:         {400, false, "the body is not valid JSON"},
	CodeInvalidRequest:      {400, false, "the request cannot be understood"},
	CodePayloadTooLarge:     {400, false, "the payload is too large"},
	CodeIncompleteBody:      {400, false, "the body ended early"},
	CodeInvalidEncoding:     {400, false, "the body cannot be decompressed"},
	CodeUnsupportedEncoding: {415, false, "the content encoding is not supported"},
	CodeBodyTimeout:         {408, true, "the body did not arrive in time"},
	CodeEmptyBatch:          {400, false, "the batch has no events"},
	CodeBatchNotArray:       {400, false, "batch must be an array"},
	CodeTooManyEvents:       {400, false, "the batch has too many events"},
	CodeAllRefused:          {400, false, "every event was refused"},
	CodeStrictMode:          {400, false, "an event was refused, and in strict mode nothing is stored then"},
	CodeNotFound:            {404, false, "there is no such endpoint"},
	CodeMethodNotAllowed:    {405, false, "the endpoint does not take this method"},
	CodeMissingKey:          {401, false, "a write key is required"},
	CodeUnknownKey:          {401, false, "the write key is not known"},
	CodeConflictingKeys:     {401, false, "the request carries different write keys"},
	CodeSourceDisabled:      {403, false, "the source is disabled"},
	CodeOriginNotAllowed:    {403, false, "the write key is not for this origin"},
	CodeRateLimited:         {429, true, "too many requests"},
	CodeOverloaded:          {503, true, "the server is busy"},
	CodeAuthUnavailable:     {503, true, "write keys cannot be checked now"},
	CodeSinkUnavailable:     {503, true, "events cannot be stored now"},
	CodeShuttingDown:        {503, true, "the server is shutting down"},
	CodeInternal:            {500, true, "internal error"},

	CodeNotObject:             {400, false, "an event must be an object"},
	CodeDuplicateName:         {400, false, "a member name stands twice in one object"},
	CodeTooDeep:               {400, false, "the event is nested too deeply"},
	CodeTooManyMembers:        {400, false, "the event has too many members"},
	CodeEventTooLarge:         {400, false, "the event is too large"},
	CodeTypeRequired:          {400, false, "type is required"},
	CodeTypeUnknown:           {400, false, "type must be one of identify, track, page, screen, group, alias"},
	CodeNoUserAnonID:          {400, false, "userId or anonymousId is required"},
	CodeIDRequired:            {400, false, "an id is required"},
	CodeIDNotString:           {400, false, "an id must be a string"},
	CodeMessageIDTooLong:      {400, false, "messageId is too long"},
	CodeEventNotDefined:       {400, false, "a track call requires the name of its event"},
	CodeEventNotString:        {400, false, "the name of an event must be a string"},
	CodeNameNotString:         {400, false, "name must be a string"},
	CodePropertiesNotObject:   {400, false, "properties must be an object"},
	CodeTraitsNotObject:       {400, false, "traits must be an object"},
	CodeContextNotObject:      {400, false, "context must be an object"},
	CodeIntegrationsNotObject: {400, false, "integrations must be an object"},
	CodePayloadV1:             {400, false, "the event has the form of version 1.0, which only middleware.Migrate makes one of 2.0"},
	CodeInvalidEvent:          {400, false, "the event is not valid"},
	CodeRefusedBySink:         {400, false, "the event cannot be stored"},
}

// Status returns the HTTP status of c, 500 for a code that is not in the set.
func (c Code) Status() int {
	return cmp.Or(codeTable[c].status, http.StatusInternalServerError)
}

// Retryable reports whether a client may send the same again after c.
func (c Code) Retryable() bool { return codeTable[c].retry }

// text returns the fixed text of c.
func (c Code) text() string {
	return cmp.Or(codeTable[c].text, codeTable[CodeInternal].text)
}

// An Error is the refusal of a request. Everything in it but Err is public.
type Error struct {
	// Code is the reason, and decides the status.
	Code Code
	// Message is what the client is told. Defaults to the fixed text of the
	// code.
	Message string
	// Field is the member or header at fault, or "".
	Field string
	// Offset is the byte of the decoded body at which it stopped being JSON.
	// Only told with [CodeInvalidJSON].
	Offset int64
	// RetryAfter is how long the client should wait. Defaults to one second
	// where the code is worth a retry at all.
	RetryAfter time.Duration
	// Err is the private cause. It is logged, and never reaches the client.
	Err error
}

// Error returns the code, the message and the private cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.text()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Err }

// text returns what the client is told.
func (e *Error) text() string { return cmp.Or(e.Message, e.Code.text()) }

// retryAfter returns the wait to tell the client, 0 if it is not to come back.
func (e *Error) retryAfter() time.Duration {
	if !e.Code.Retryable() {
		return 0
	}
	return max(e.RetryAfter, time.Second)
}

// asError returns the [*Error] in err, or an internal one whose cause is err:
// what is not meant for a client does not reach it.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
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
