package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/jsoncases"
)

// asEvent reads value as the property of an event in a batch, and returns what
// was read of it.
func asEvent(value string) (it Item, got string, err error) {
	d := new(Document)
	if err := d.Read([]byte(`{"batch":[{"v":`+value+`}]}`), `"batch"`, roomy); err != nil {
		return Item{}, "", err
	}
	items, _ := d.Items()
	return items[0], string(items[0].Get(`"v"`)), nil
}

func TestReaderTakesWhatIsJSON(t *testing.T) {
	t.Parallel()
	for name, text := range jsoncases.Valid() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, json.Valid([]byte(text)), "the case is wrong")
			it, got, err := asEvent(text)
			require.NoError(t, err)
			require.Equal(t, None, it.Fault.Kind)
			require.False(t, it.Repaired)
			require.Equal(t, strings.Trim(text, " \t\r\n"), got)
			requireRoot(t, text, true)
		})
	}
}

func TestReaderRefusesWhatIsNot(t *testing.T) {
	t.Parallel()
	for name, text := range jsoncases.Invalid() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.False(t, json.Valid([]byte(text)), "the case is wrong")
			requireRoot(t, text, false)
			_, _, err := asEvent(text)
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
		})
	}
}

// requireRoot checks whether a text is taken as a body, or refused only because
// its root is no object.
func requireRoot(t testing.TB, text string, want bool) {
	t.Helper()
	var syntax *SyntaxError
	err := new(Document).Read([]byte(text), `"batch"`, Limits{})
	require.Equal(t, want, !errors.As(err, &syntax), "%v", err)
	if want && !strings.HasPrefix(strings.TrimSpace(text), "{") {
		require.ErrorIs(t, err, ErrNotObject)
	}
}

func TestReaderDecidesWhereTheStandardsDoNot(t *testing.T) {
	t.Parallel()
	for name, choice := range jsoncases.Choices() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it, got, err := asEvent(choice.Text)
			switch choice.Want {
			case jsoncases.Refused:
				var syntax *SyntaxError
				require.ErrorAs(t, err, &syntax)
			case jsoncases.Deep:
				require.NoError(t, err)
				require.Equal(t, TooDeep, it.Fault.Kind)
			case jsoncases.Kept:
				require.NoError(t, err)
				require.False(t, it.Repaired)
				require.Equal(t, choice.Text, got)
			case jsoncases.Repaired:
				require.NoError(t, err)
				require.True(t, it.Repaired)
				require.True(t, utf8.ValidString(got))
				requireMeans(t, choice.Text, got)
			}
		})
	}
}

// requireMeans checks that a repaired text means what encoding/json, which
// repairs in the same way, takes the broken one for.
func requireMeans(t testing.TB, broken, got string) {
	t.Helper()
	require.Equal(t, decoded(t, broken), decoded(t, got))
}

// decoded reads a value with encoding/json, and numbers as their text.
func decoded(t testing.TB, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&value), "%q", text)
	return value
}

// FuzzAgainstStandard holds the reader to encoding/json: both take a text or both
// refuse it, and it means the same to both. Three differences are meant: a name
// that stands twice, which encoding/json takes, is a fault; broken text, which it
// repairs without a word, is repaired with a mark; and how deep a text may be.
func FuzzAgainstStandard(f *testing.F) {
	for _, text := range jsoncases.Valid() {
		f.Add([]byte(text))
	}
	for _, text := range jsoncases.Invalid() {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	for _, choice := range jsoncases.Choices() {
		f.Add([]byte(choice.Text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		body := fmt.Appendf(nil, `{"batch":[{"v":%s}]}`, value)
		if depthOf(body) > 9_990 {
			return
		}
		d := new(Document)
		var syntax *SyntaxError
		err := d.Read(body, `"batch"`, Limits{})
		require.Equal(t, json.Valid(body), !errors.As(err, &syntax), "%v", err)
		items, _ := d.Items()
		if err != nil || len(items) != 1 || items[0].Fault.Kind != None || items[0].Len() != 1 {
			return
		}
		if !items[0].Repaired {
			require.True(t, bytes.Contains(body, items[0].Value(0)))
		}
		var want struct{ Batch []map[string]any }
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&want))
		if len(want.Batch) != 1 { // "Batch" beside "batch": encoding/json folds names
			return
		}
		require.Equal(t, want.Batch[0]["v"], decoded(t, string(items[0].Value(0))))
	})
}

// depthOf is how deep a text may be nested at most.
func depthOf(text []byte) int { return bytes.Count(text, []byte{'['}) + bytes.Count(text, []byte{'{'}) }
