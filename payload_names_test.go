package inlet_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// behindKeys is a handler behind a gate that knows one key.
func behindKeys(t testing.TB) (func(path, body string) *httptest.ResponseRecorder, *keeper) {
	t.Helper()
	sink := new(keeper)
	keys := inlet.MustKeys(map[string]inlet.Source{"known": {ID: "shop"}, "other": {ID: "bank"}})
	h := mustAuth(t, keys, nil)(mustNew(t, sink, nil))
	return func(path, body string) *httptest.ResponseRecorder {
		return serve(h, request("POST", path, strings.NewReader(body)))
	}, sink
}

func TestNamesThatOnlyLookLikeTheKeysAreNone(t *testing.T) {
	t.Parallel()
	const event = `,"type":"page","userId":"u"`
	for _, name := range []string{
		`WRITEKEY`, `WriteKey`, `writekey`, `write_key`, "write\u212aey", `write\u212aey`, `write\u212Aey`, ` writeKey`, `writeKey `,
		`writeKey\u0000`, `\u0000writeKey`, "write\u200bKey", `write\u004b\u0435y`, "ｗriteKey", `writeKe`, `writeKeyy`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			post, sink := behindKeys(t)
			alone := `{"` + name + `":"known"` + event + `}`
			requireRefused(t, post("/v1/page", alone), 401, inlet.CodeMissingKey)
			requireRefused(t, post("/v1/batch", `{"`+name+`":"known","batch":[{"type":"page","userId":"u"}]}`), 401, inlet.CodeMissingKey)
			requireRefused(t, post("/v1/batch", batchOf(alone)), 401, inlet.CodeMissingKey)
			// Beside the key it changes nothing, and stays a member of its own name.
			for _, both := range []string{`"` + name + `":"other","writeKey":"known"`, `"writeKey":"known","` + name + `":"other"`} {
				requireTaken(t, post("/v1/page", `{`+both+event+`}`))
			}
			require.Len(t, sink.kept(), 2)
			for _, e := range sink.kept() {
				require.Equal(t, "shop", e.Source.ID)
				if name != "writekey" { // which looks like a key so much that it is not stored
					require.Contains(t, extraOf(t, e), unquoted(t, name))
				}
				require.NotContains(t, extraOf(t, e), "writeKey")
			}
		})
	}
}

func TestTheKeyInEveryWayOfWritingItsName(t *testing.T) {
	t.Parallel()
	post, sink := behindKeys(t)
	for _, name := range []string{`writeKey`, `\u0077riteKey`, `write\u004bey`, `write\u004Bey`, `\u0077\u0072\u0069\u0074\u0065\u004b\u0065\u0079`} {
		requireTaken(t, post("/v1/page", `{"`+name+`":"known","userId":"u"}`))
		requireTaken(t, post("/v1/batch", `{"`+name+`":"kn\u006fwn","batch":[{"type":"page","userId":"u"}]}`))
	}
	for _, e := range sink.kept() {
		require.Equal(t, "shop", e.Source.ID)
		require.NotContains(t, extraOf(t, e), "writeKey")
	}
	require.Len(t, sink.kept(), 10)
}

func TestANameThatStandsTwiceReachesNobody(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{`"writeKey":"known"`, `"writeKey":"other"`},
		{`"writeKey":"known"`, `"writeKey":"known"`},
		{`"writeKey":"known"`, `"\u0077riteKey":"other"`},
		{`"write\u004bey":"other"`, `"writeKey":"known"`},
		{`"writeKey":"known","userId":"u1"`, `"userId":"u2"`},
		{`"writeKey":"known","properties":{"a":1}`, `"propert\u0069es":{"a":2}`},
		{`"writeKey":"known","properties":{"a":1`, `"\u0061":2}`},
		{`"writeKey":"known","type":"page"`, `"type":"track"`},
		{`"writeKey":"known","\ud800":1`, `"\udc00":2`},
		{"\"writeKey\":\"known\",\"\xff\":1", "\"\xfe\":2"},
	} {
		t.Run(pair[0]+pair[1], func(t *testing.T) {
			t.Parallel()
			post, sink := behindKeys(t)
			requireRefused(t, post("/v1/page", `{"userName":"x",`+pair[0]+`,`+pair[1]+`}`), 400, inlet.CodeDuplicateName)
			requireRefused(t, post("/v1/batch", `{"batch":[{"type":"page","userId":"u"}],`+pair[0]+`,`+pair[1]+`}`), 400, inlet.CodeDuplicateName)
			w := post("/v1/batch", `{"writeKey":"known","batch":[{"type":"page","userId":"u"},{`+pair[0]+`,`+pair[1]+`}]}`)
			a := read(t, w)
			require.Equal(t, 1, *a.Accepted, "%s", w.Body)
			require.Len(t, a.Rejected, 1)
			require.Equal(t, inlet.CodeDuplicateName, a.Rejected[0].Code)
			require.Len(t, sink.kept(), 1)
		})
	}
	post, sink := behindKeys(t)
	requireRefused(t, post("/v1/batch", `{"writeKey":"known","batch":[{"type":"page","userId":"u1"}],"b\u0061tch":[{"type":"page","userId":"u2"}]}`), 400, inlet.CodeDuplicateName)
	require.Empty(t, sink.kept())
}

func TestNamesOfOtherLettersAreMembersOfTheirOwn(t *testing.T) {
	t.Parallel()
	post, sink := behindKeys(t)
	requireTaken(t, post("/v1/track", `{"writeKey":"known","userId":"u","USERID":"v","UserId":1,"event":"E","Event":"F","properties":{"a":1},"PROPERTIES":{"a":2},"TYPE":"page","messageId":"m","MessageID":"n"}`))
	e := sink.kept()[0]
	require.Equal(t, []string{"u", "E", "m", `{"a":1}`}, []string{e.UserID, e.Name, e.MessageID, string(e.Properties)})
	require.Equal(t, inlet.TypeTrack, e.Type)
	require.Equal(t, map[string]any{"USERID": "v", "UserId": 1.0, "Event": "F", "PROPERTIES": map[string]any{"a": 2.0}, "TYPE": "page", "MessageID": "n"}, extraOf(t, e))
	requireRefused(t, post("/v1/track", `{"writeKey":"known","USERID":"v","event":"E"}`), 400, inlet.CodeNoUserAnonID)
}

// extraOf reads the members for which an event has no field.
func extraOf(t testing.TB, e *inlet.Event) (extra map[string]any) {
	t.Helper()
	if e.Extra != nil {
		require.NoError(t, json.Unmarshal(e.Extra, &extra))
	}
	return extra
}

// unquoted is what the inside of a JSON string says.
func unquoted(t testing.TB, inside string) (text string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(`"`+inside+`"`), &text))
	return text
}
