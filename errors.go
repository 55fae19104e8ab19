package inlet

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Code is the machine-readable reason of a refusal. The set of the codes here is closed; each
// has one HTTP status, and is or is not worth a retry by the client. A [Validator], a dialect or a
// sink of the host's may refuse an event with a code of its own, of 1 to 64 lower-case letters,
// digits and underscores, such as "not_in_catalogue". docs/OPERATIONS.md has the
// table, which is generated from the comments here.
type Code string

// Codes of a refused request.
const (
	// CodeInvalidJSON: the body is not JSON. SDKs drop the request. Fix: Send valid JSON; offset
	// in the answer is the byte at which it stops being JSON.
	CodeInvalidJSON Code = "invalid_json"
	// CodeInvalidRequest: the body is JSON, but has none of the forms of the endpoint, or a query
	// or header cannot be read. SDKs drop the request. Fix: Follow the message, which names what
	// is missing.
	CodeInvalidRequest Code = "invalid_request"
	// CodePayloadTooLarge: the body, or what it decompresses to, is larger than the endpoint
	// accepts. It is 400, not 413, because every SDK that gives up at all gives up on 400. SDKs
	// drop the request. Fix: Send smaller batches, or raise the limit.
	CodePayloadTooLarge Code = "payload_too_large"
	// CodeIncompleteBody: the connection or the compressed data ended before the body did. SDKs
	// drop the request. Fix: Look for a proxy that truncates bodies.
	CodeIncompleteBody Code = "incomplete_body"
	// CodeInvalidEncoding: the body is not in the encoding that its header or parameter names,
	// or is compressed twice. SDKs drop the request. Fix: Compress once, and name the encoding.
	CodeInvalidEncoding Code = "invalid_encoding"
	// CodeUnsupportedEncoding: the Content-Encoding is not gzip, deflate or zstd, or there are
	// several. SDKs drop the request. Fix: Use one of them, or none.
	CodeUnsupportedEncoding Code = "unsupported_encoding"
	// CodeBodyTimeout: the body did not arrive before its deadline. SDKs keep the events and
	// retry. Fix: Raise the time to read a body if clients are on slow networks.
	CodeBodyTimeout Code = "body_timeout"
	// CodeEmptyBatch: the batch is an empty array. SDKs drop the request. Fix: Do not send empty
	// batches.
	CodeEmptyBatch Code = "empty_batch"
	// CodeBatchNotArray: the member batch is missing or is not an array. SDKs drop the request.
	// Fix: Send the events in an array named batch.
	CodeBatchNotArray Code = "batch_not_array"
	// CodeTooManyEvents: the batch has more events than a request may have. SDKs drop the request.
	// Fix: Send smaller batches.
	CodeTooManyEvents Code = "too_many_events"
	// CodeAllRefused: every event of a batch was refused; rejected has the reason of each. SDKs
	// drop the request. Fix: Fix the events by their own codes.
	CodeAllRefused Code = "all_refused"
	// CodeStrictMode: an event was refused, and the client asked for all or nothing with
	// X-Strict-Mode. SDKs drop the request. Fix: Fix the events in rejected, or leave the header
	// out.
	CodeStrictMode Code = "strict_mode"
	// CodeNotFound: no dialect has a route for the path. Most SDKs drop the request. Fix: Check
	// the host and path in the SDK's configuration, and the prefix that the server strips.
	CodeNotFound Code = "not_found"
	// CodeMethodNotAllowed: the path has a route, but not for this method; the header Allow lists
	// its methods. Most SDKs drop the request. Fix: Use one of them, usually POST.
	CodeMethodNotAllowed Code = "method_not_allowed"
	// CodeMissingKey: the request has no write key in any place of its dialect. Most SDKs drop the
	// request. Fix: Configure the write key in the SDK.
	CodeMissingKey Code = "missing_key"
	// CodeUnknownKey: the write key belongs to no source. Most SDKs drop the request. Fix: Check
	// the key, or add it to the server.
	CodeUnknownKey Code = "unknown_key"
	// CodeConflictingKeys: two places of the request, or two events of a batch, have different
	// write keys. Most SDKs drop the request. Fix: Send one key.
	CodeConflictingKeys Code = "conflicting_keys"
	// CodeSourceDisabled: the write key is known, but its source is disabled. Most SDKs drop the
	// request. Fix: Enable the source, or stop sending.
	CodeSourceDisabled Code = "source_disabled"
	// CodeOriginNotAllowed: the write key is bound to origins, and the request comes from none of
	// them. Most SDKs drop the request. Fix: Add the page's origin to the source.
	CodeOriginNotAllowed Code = "origin_not_allowed"
	// CodeRateLimited: the source or the address has used up its rate; Retry-After is the
	// time to wait. SDKs keep the events and retry. Fix: Send less, or raise the rate.
	CodeRateLimited Code = "rate_limited"
	// CodeOverloaded: the server has no memory or time left for the request. SDKs keep the events
	// and retry. Fix: Nothing in the client; add capacity if it lasts.
	CodeOverloaded Code = "overloaded"
	// CodeAuthUnavailable: the store of the write keys did not answer. SDKs keep the events and
	// retry. Fix: Repair the key store; the log has the cause.
	CodeAuthUnavailable Code = "auth_unavailable"
	// CodeSinkUnavailable: the sink failed temporarily; part of the events may be stored, and
	// message ids identify them. SDKs keep the events and retry. Fix: Repair the sink; the log has
	// the cause.
	CodeSinkUnavailable Code = "sink_unavailable"
	// CodeShuttingDown: the server does not accept requests any more. SDKs keep the events and
	// retry. Fix: Nothing; another server or the next start accepts them.
	CodeShuttingDown Code = "shutting_down"
	// CodeInternal: an unexpected error, whose text is not sent; the answer has a requestId
	// that is in the log, too. SDKs keep the events and retry. Fix: Look up the requestId
	// in the log.
	CodeInternal Code = "internal"
)

// Codes of a refused event. They are Segment's where it publishes one. SDKs do not send
// such an event again.
const (
	// CodeNotObject: the event is not a JSON object. Fix: Send an object.
	CodeNotObject Code = "not_object"
	// CodeDuplicateName: an object of the event has two members of one name, and parsers disagree
	// on which one counts. Fix: Send each name once.
	CodeDuplicateName Code = "duplicate_name"
	// CodeTooDeep: the event has more levels of nesting than accepted. Fix: Send flatter
	// properties.
	CodeTooDeep Code = "too_deep"
	// CodeTooManyMembers: the event has more members, at all levels together, than accepted. Fix:
	// Send fewer properties.
	CodeTooManyMembers Code = "too_many_members"
	// CodeEventTooLarge: the event has more bytes than accepted. Fix: Send fewer or shorter
	// properties.
	CodeEventTooLarge Code = "event_too_large"
	// CodeTypeRequired: an event of a batch has no type. Fix: Set type to one of the six calls.
	CodeTypeRequired Code = "type_required"
	// CodeTypeUnknown: the type is none of the six calls. Fix: Use one of them.
	CodeTypeUnknown Code = "type_unknown"
	// CodeNoUserAnonID: the event names no user. Fix: Set userId or anonymousId.
	CodeNoUserAnonID Code = "no_user_anon_id"
	// CodeIDRequired: a group call has no groupId, or an alias call no previousId. Fix: Set it.
	CodeIDRequired Code = "id_required"
	// CodeIDNotString: an id is an object, an array or a boolean. Fix: Send a string.
	CodeIDNotString Code = "id_not_string"
	// CodeMessageIDTooLong: the messageId has more characters than accepted. Fix: Send a UUID.
	CodeMessageIDTooLong Code = "message_id_too_long"
	// CodeEventNotDefined: a track call has no name. Fix: Set the name of the event.
	CodeEventNotDefined Code = "event_not_defined"
	// CodeEventNotString: the name of a track call is not a string. Fix: Send a string.
	CodeEventNotString Code = "event_not_string"
	// CodeNameNotString: the name of a page or screen call is not a string. Fix: Send a string.
	CodeNameNotString Code = "name_not_string"
	// CodePropertiesNotObject: properties is not an object. Fix: Send an object, or leave it out.
	CodePropertiesNotObject Code = "properties_not_object"
	// CodeTraitsNotObject: traits is not an object. Fix: Send an object, or leave it out.
	CodeTraitsNotObject Code = "traits_not_object"
	// CodeContextNotObject: context is not an object. Fix: Send an object, or leave it out.
	CodeContextNotObject Code = "context_not_object"
	// CodeIntegrationsNotObject: integrations is not an object. Fix: Send an object, or leave it
	// out.
	CodeIntegrationsNotObject Code = "integrations_not_object"
	// CodePayloadV1: an event of Commanders Act is in the format of version 1.0. Fix: Send version
	// 2.0, or put the migration layer in front of the handler.
	CodePayloadV1 Code = "payload_v1"
	// CodeEventNameRequired: an event of Commanders Act 1.0 has no name and cannot be migrated.
	// Fix: Name the event.
	CodeEventNameRequired Code = "event_name_required"
	// CodeWrongDialect: an event sent to Commanders Act's endpoints has the form of Segment's API
	// and cannot be migrated. Fix: Send it to the endpoints of that API.
	CodeWrongDialect Code = "wrong_dialect"
	// CodeTimestampInvalid: the time of an event of Commanders Act 1.0 cannot be read, and the
	// server migrates such events strictly. Fix: Send milliseconds since 1970.
	CodeTimestampInvalid Code = "timestamp_invalid"
	// CodeInvalidEvent: the event is not valid for a reason that has no code of its own. Fix:
	// Follow the message.
	CodeInvalidEvent Code = "invalid_event"
	// CodeRefusedBySink: the sink refused the event permanently. Fix: Look up the cause in the
	// log.
	CodeRefusedBySink Code = "refused_by_sink"
)

// codeRow is what a code means on the wire.
type codeRow struct {
	status int
	retry  bool
	text   string // sent to the client if the error has no message of its own
}

// codeTable has a row for every code. Too large is 400, as three of the four vendors
// document it: it is the status on which every SDK gives up. 408 and 503 are what every SDK
// retries.
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
	CodeStrictMode:          {400, false, "an event was refused, and strict mode stores all events or none"},
	CodeNotFound:            {404, false, "there is no such endpoint"},
	CodeMethodNotAllowed:    {405, false, "the endpoint does not support this method"},
	CodeMissingKey:          {401, false, "a write key is required"},
	CodeUnknownKey:          {401, false, "the write key is not known"},
	CodeConflictingKeys:     {401, false, "the request carries different write keys"},
	CodeSourceDisabled:      {403, false, "the source is disabled"},
	CodeOriginNotAllowed:    {403, false, "the write key may not be used from this origin"},
	CodeRateLimited:         {429, true, "too many requests"},
	CodeOverloaded:          {503, true, "the server is busy"},
	CodeAuthUnavailable:     {503, true, "write keys cannot be checked now"},
	CodeSinkUnavailable:     {503, true, "events cannot be stored now"},
	CodeShuttingDown:        {503, true, "the server is shutting down"},
	CodeInternal:            {500, true, "internal error"},

	CodeNotObject:             {400, false, "an event must be an object"},
	CodeDuplicateName:         {400, false, "duplicate member name in an object"},
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
	CodePayloadV1:             {400, false, "the event is in v1 format; this endpoint accepts v2"},
	CodeEventNameRequired:     {400, false, "the event requires a name"},
	CodeWrongDialect:          {400, false, "the event has the form of another API; send it to the endpoints of that"},
	CodeTimestampInvalid:      {400, false, "the time of the event cannot be read"},
	CodeInvalidEvent:          {400, false, "the event is not valid"},
	CodeRefusedBySink:         {400, false, "the event cannot be stored"},
}

// Status returns the HTTP status of c, 500 for a code that is not in the set.
func (c Code) Status() int {
	return cmp.Or(codeTable[c].status, http.StatusInternalServerError)
}

// Retryable reports whether a client may retry a request that was refused with c.
func (c Code) Retryable() bool { return codeTable[c].retry }

// text returns the fixed text of c.
func (c Code) text() string {
	return cmp.Or(codeTable[c].text, codeTable[CodeInternal].text)
}

// An Error is the refusal of a request. Everything in it except Err is public.
type Error struct {
	// Code is the reason, and decides the status.
	Code Code
	// Message is sent to the client. Defaults to the fixed text of the code.
	Message string
	// Field is the member or header at fault, or "".
	Field string
	// Offset is the byte of the decoded body at which it stopped being JSON. It is only
	// sent with [CodeInvalidJSON].
	Offset int64
	// RetryAfter is how long the client should wait. Defaults to one second for a code
	// that is worth a retry.
	RetryAfter time.Duration
	// Err is the private cause. It is logged, and never reaches the client.
	Err error

	event bool // the only event was refused, so the code may be the host's own
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

// status returns the HTTP status.
func (e *Error) status() int {
	if e.event {
		return http.StatusBadRequest
	}
	return e.Code.Status()
}

// text returns the message for the client.
func (e *Error) text() string { return cmp.Or(e.Message, e.Code.text()) }

// retryAfter returns how long the client is asked to wait, 0 if it must not retry.
func (e *Error) retryAfter() time.Duration {
	if !e.Code.Retryable() {
		return 0
	}
	return max(e.RetryAfter, time.Second)
}

// asError returns the [*Error] in err, or an internal one whose cause is err: what is not
// meant for a client does not reach it.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
}

// isOwn reports whether a code is one that a host may have for the refusal of an event.
func (c Code) isOwn() bool {
	if _, ours := codeTable[c]; ours || c == "" || len(c) > maxOwnCode {
		return false
	}
	for _, r := range c {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return true
}

// maxOwnCode is how long a code of a host's own may be.
const maxOwnCode = 64

// problem returns a Problem with the fixed text of its code.
func problem(code Code, field string) *Problem {
	return &Problem{Code: code, Message: code.text(), Field: field}
}

// problemOf returns the problem of a fault in the structure of an event, nil for none.
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

// Why requests are refused that could be let in later.
var (
	tooManyInFlight = admission.Refusal{Limit: "MaxInFlight", Reason: "too many requests are in flight"}
	tooManyBytes    = admission.Refusal{Limit: "MaxBytesInFlight", Reason: "the requests in flight use too much memory"}
	tooManyOfClient = admission.Refusal{Limit: "MaxShare", Reason: "too many bodies of one client are being read"}
	busyProcessors  = admission.Refusal{Limit: "MaxWait", Reason: "the processors are busy"}
	busySink        = admission.Refusal{Limit: "MaxQueueTime", Reason: "the sink is busy"}
)

// overloaded refuses a request, with a wait that differs between clients that are refused
// together.
func overloaded(why *admission.Refusal) *Error {
	return &Error{Code: CodeOverloaded, RetryAfter: 1 + rand.N(3*time.Second), Err: why}
}
