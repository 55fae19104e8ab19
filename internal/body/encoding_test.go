package body_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/body"
)

// readJSON has a reader read a body that is known to be JSON.
func readJSON(rd *reader, r *http.Request) (*body.Buffer, error) {
	a := new(account.Account)
	a.Enter(rd.budget, 0)
	buf, _, err := rd.Read(httptest.NewRecorder(), r, body.Terms{
		Account: a, Limit: maxBytes, Begin: time.Now(), MinRate: 1 << 10, JSON: true,
	})
	if err != nil {
		a.Leave()
	}
	return buf, err
}

const event = `{"event":"E"}`

// The first bytes of a JSON body decide which encoding it has, whatever its header says.
func TestEncoding(t *testing.T) {
	t.Parallel()
	forms := map[string]string{"": "", "gzip": "gzip", "deflate": "deflate", "zstd": "zstd"}
	headers := map[string]string{
		"": "", "identity": "", "none": "", "utf-8": "", "UTF8": "", "identity, utf-8": "", "chunked": "", "8bit": "",
		"application/json; charset=utf-8": "", "gzip, application/json": "gzip", "text/plain": "",
		"gzip": "gzip", "GZip": "gzip", "x-gzip": "gzip", "gzip, identity": "gzip", "identity,gzip": "gzip", ",gzip": "gzip",
		`"gzip"`: "gzip", "gzip;q=1.0": "gzip", "gzip, utf-8": "gzip", "deflate": "deflate", "zstd": "zstd",
	}
	for form, found := range forms {
		for header, named := range headers {
			t.Run(fmt.Sprintf("%q as %q", form, header), func(t *testing.T) {
				t.Parallel()
				for _, text := range []string{event, " \r\n" + event, "[" + event + "]", "{}"} {
					if form == "" && named == "deflate" && strings.HasPrefix(text, " ") {
						continue // a block that is stored may begin so
					}
					r := request("", strings.NewReader(compressed(t, form, text)))
					r.Header["Content-Encoding"] = []string{header}
					buf, err := readJSON(newReader(), r)
					require.NoError(t, err)
					require.Equal(t, text, string(buf.Bytes))
					require.Equal(t, body.Coding{Named: named, Found: found}, buf.Coding)
					buf.Free()
				}
			})
		}
	}
	for _, header := range []string{"br", "aws-chunked", "aws-chunked,gzip", "compress", "gzip, gzip", "gzip, deflate", "iso-8859-1", "gzip gzip"} {
		t.Run(header+" is not supported", func(t *testing.T) {
			t.Parallel()
			r := request(header, strings.NewReader(event))
			_, err := readJSON(newReader(), r)
			require.ErrorIs(t, err, body.ErrUnsupportedEncoding)
		})
	}
	t.Run("in two headers", func(t *testing.T) {
		t.Parallel()
		r := request("identity", strings.NewReader(compressed(t, "gzip", event)))
		r.Header.Add("Content-Encoding", "gzip")
		buf, err := readJSON(newReader(), r)
		require.NoError(t, err)
		require.Equal(t, event, string(buf.Bytes))
	})
	t.Run("a body that is not known to be JSON is left as it is", func(t *testing.T) {
		t.Parallel()
		for _, sent := range []string{compressed(t, "gzip", event), "\xef\xbb\xbf" + event, "\xff\xfe{\x00"} {
			buf, _, err := read(newReader(), request("", strings.NewReader(sent)))
			require.NoError(t, err)
			require.Equal(t, sent, string(buf.Bytes))
			buf.Free()
		}
	})
	t.Run("a plain body has the limit of a plain one", func(t *testing.T) {
		t.Parallel()
		for size, fits := range map[int]bool{maxBytes: true, maxBytes + 1: false, maxBytes + 1000: false} {
			r := request("gzip", strings.NewReader("{"+strings.Repeat(" ", size-1)))
			buf, err := readJSON(newReader(func(o *body.Options) { o.MaxWireBytes = 2 * maxBytes }), r)
			var tooLarge *body.TooLargeError
			if fits {
				require.NoError(t, err)
				buf.Free()
			} else {
				require.ErrorAs(t, err, &tooLarge)
			}
		}
	})
}

// No encoder of deflate writes what would be taken for JSON, for any level and any text that
// JSON may begin with.
func TestEncodingOfDeflate(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		text := []byte([]string{"{", "[", " {", "\n[", "\r\n{"}[i%5])
		for range random.IntN(200) {
			text = append(text, " \"abcdefgh:,{}[]0123"[random.IntN(20)])
		}
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, i%12-2)
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		buf, err := readJSON(newReader(), request("deflate", &b))
		require.NoError(t, err, "%q", text)
		require.Equal(t, string(text), string(buf.Bytes))
		buf.Free()
	}
}

func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	for form, header := range map[string]string{"": "", "gzip": "gzip", "deflate": "deflate", "flate": "deflate", "zstd": "zstd"} {
		t.Run("UTF-8, "+form, func(t *testing.T) {
			t.Parallel()
			rd := newReader()
			for range 3 { // the memory is reused
				large := event + strings.Repeat(" ", 100_000)
				buf, err := readJSON(rd, request(header, strings.NewReader(compressed(t, form, "\xef\xbb\xbf"+large))))
				require.NoError(t, err)
				require.Equal(t, large, string(buf.Bytes))
				buf.Free()
			}
		})
	}
	for _, text := range []string{
		"\xff\xfe{\x00}\x00", "\xfe\xff\x00{\x00}", "\xff\xfe\x00\x00{\x00\x00\x00", "\x00\x00\xfe\xff\x00\x00\x00{",
		"{\x00}\x00", "\x00{\x00}", "{\x00\x00\x00}\x00\x00\x00", "\x00\x00\x00{",
	} {
		t.Run(fmt.Sprintf("%x", text), func(t *testing.T) {
			t.Parallel()
			for _, form := range []string{"", "gzip"} {
				_, err := readJSON(newReader(), request(form, strings.NewReader(compressed(t, form, text))))
				require.ErrorIs(t, err, body.ErrUTF16)
			}
		})
	}
}

func TestTwice(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "gzip"} {
		for _, inner := range []string{"gzip", "zstd"} {
			_, err := readJSON(newReader(), request(header, strings.NewReader(compressed(t, "gzip", compressed(t, inner, event)))))
			require.ErrorIs(t, err, body.ErrTwice)
		}
	}
}

// What fills up a buffer, a block or a line behind a compressed body is not part of it.
func TestPadding(t *testing.T) {
	t.Parallel()
	long := mixed(60_000)
	for _, form := range []string{"gzip", "zstd"} {
		for _, text := range []string{event, long, ""} {
			sent := compressed(t, form, text)
			for _, tt := range []struct {
				name, behind string
				err          error // nil for padding
			}{
				{"a line end", "\r\n", nil},
				{"two line ends", "\r\n\r\n", nil},
				{"a zero", "\x00", nil},
				{"zeros up to a block", strings.Repeat("\x00", 512-len(sent)%512), nil},
				{"4 KiB of zeros", strings.Repeat("\x00", 4<<10), nil},
				{"as much as the body", strings.Repeat("\x00", max(4<<10, len(sent))), nil},
				{"more than that", strings.Repeat("\x00", max(4<<10, len(sent))+1), body.ErrCorrupt},
				{"spaces and tabs", " \t ", nil},
				{"text", "more", body.ErrCorrupt},
				{"zeros and text", "\x00\x00more", body.ErrCorrupt},
				{"zeros and another body", "\x00\x00" + sent, body.ErrCorrupt},
				{"text and a line end", "more\r\n", body.ErrCorrupt},
				{"half of another body", sent[:len(sent)-5], body.ErrIncomplete},
			} {
				t.Run(fmt.Sprintf("%s of %d bytes, %s", form, len(text), tt.name), func(t *testing.T) {
					t.Parallel()
					for _, header := range []string{form, ""} {
						buf, err := readJSON(newReader(), request(header, strings.NewReader(sent+tt.behind)))
						if tt.err != nil {
							require.ErrorIs(t, err, tt.err)
							continue
						}
						require.NoError(t, err)
						require.Equal(t, text, string(buf.Bytes))
						buf.Free()
					}
				})
			}
			t.Run(fmt.Sprintf("%s of %d bytes, in several members", form, len(text)), func(t *testing.T) {
				t.Parallel()
				members := sent + compressed(t, form, "") + sent
				for _, behind := range []string{"", "\x00\x00", "\r\n"} {
					buf, err := readJSON(newReader(), request(form, strings.NewReader(members+behind)))
					require.NoError(t, err)
					require.Equal(t, text+text, string(buf.Bytes))
					buf.Free()
				}
			})
		}
	}
	t.Run("behind a frame of zstd that is skipped", func(t *testing.T) {
		t.Parallel()
		skipped := "\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
		sent := compressed(t, "zstd", event)
		for _, members := range []string{skipped + sent, sent + skipped} {
			for _, behind := range []string{"", "\x00", "\r\n"} {
				buf, err := readJSON(newReader(), request("zstd", strings.NewReader(members+behind)))
				require.NoError(t, err, "%q", members)
				require.Equal(t, event, string(buf.Bytes))
				buf.Free()
			}
		}
	})
	t.Run("of a body that is too large", func(t *testing.T) {
		t.Parallel()
		for _, form := range []string{"gzip", "zstd"} {
			sent := compressed(t, form, mixed(maxBytes+1))
			for _, behind := range []string{"", "\x00", "\r\n"} {
				_, err := readJSON(newReader(), request(form, strings.NewReader(sent+behind)))
				var tooLarge *body.TooLargeError
				require.ErrorAs(t, err, &tooLarge)
			}
		}
	})
	t.Run("that is not said to be compressed", func(t *testing.T) {
		t.Parallel()
		// A frame that ends in white space of its own has no padding.
		sent := "\x28\xb5\x2f\xfd\x00\x00" + "\x19\x00\x00" + "{} "
		buf, err := readJSON(newReader(), request("", strings.NewReader(sent)))
		require.NoError(t, err)
		require.Equal(t, "{} ", string(buf.Bytes))
		buf.Free()
	})
}

// FuzzEncoding checks, for any bytes of any encoding, that a body that is known to be JSON is
// read as one that is not if its header is right, within the same memory.
func FuzzEncoding(f *testing.F) {
	for _, form := range []string{"gzip", "deflate", "zstd", ""} {
		for _, header := range []string{"gzip", "deflate", "zstd", "", "utf-8"} {
			f.Add(header, []byte(compressed(f, form, event)+"\x00\x00"))
		}
	}
	f.Fuzz(func(t *testing.T, header string, sent []byte) {
		rd := newReader()
		r := request("", bytes.NewReader(sent))
		r.Header["Content-Encoding"] = []string{header}
		buf, err := readJSON(rd, r)
		require.NotErrorIs(t, err, account.ErrOverBudget)
		if err != nil {
			return
		}
		defer buf.Free()
		r = request(buf.Coding.Found, io.NopCloser(bytes.NewReader(sent)))
		plain, _, err := read(rd, r)
		require.NoError(t, err)
		defer plain.Free()
		require.Equal(t, strings.TrimPrefix(string(plain.Bytes), "\xef\xbb\xbf"), string(buf.Bytes))
	})
}
