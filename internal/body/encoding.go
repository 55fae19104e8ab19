package body

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Coding is what a request says about the encoding of its body, and what the body is: each
// "gzip", "deflate", "zstd" or "" for none. They differ where a proxy has changed one of the
// two and not the other.
type Coding struct{ Named, Found string }

// contentEncoding returns "gzip", "deflate", "zstd" or "" for none. Names of character sets, of
// codings for mail and for messages, and of content types, name no compression.
// Clients write them here by mistake, and they are skipped.
func contentEncoding(r *http.Request) (string, error) {
	found := ""
	for _, line := range r.Header["Content-Encoding"] {
		for name := range strings.SplitSeq(line, ",") {
			name, _, _ = strings.Cut(name, ";")
			name = strings.ToLower(strings.Trim(name, " \t\""))
			switch name {
			case "", "identity", "none", "utf-8", "utf8", "us-ascii", "ascii", "7bit", "8bit", "binary", "chunked":
				continue
			case "x-gzip":
				name = "gzip"
			case "gzip", "deflate", "zstd":
			default:
				if strings.Contains(name, "/") { // a content type
					continue
				}
				return "", ErrUnsupportedEncoding
			}
			if found != "" {
				return "", ErrUnsupportedEncoding
			}
			found = name
		}
	}
	return found, nil
}

var (
	gzipMagic = []byte("\x1f\x8b\x08")
	zstdMagic = []byte("\x28\xb5\x2f\xfd")
	utf8Mark  = []byte("\xef\xbb\xbf")
)

// encodingOf returns the encoding that a JSON body has, whatever it is said to have. The first
// bytes decide: no JSON begins like gzip, zstd or zlib, and these begin neither like JSON nor
// like each other. Only deflate without a zlib header has no beginning of its own. It never
// begins with a brace or a bracket: in a block of fixed codes, both stand for a first byte that
// no JSON begins with.
func encodingOf(sent []byte, named string) string {
	switch {
	case bytes.HasPrefix(sent, gzipMagic):
		return "gzip"
	case bytes.HasPrefix(sent, zstdMagic):
		return "zstd"
	case isZlib(sent) && (named == "deflate" || sent[0] == 'x' && sent[1]&0x20 == 0):
		return "deflate"
	case named == "deflate" && bytes.HasPrefix(sent, []byte{'\r'}):
		return named // which may begin a block of its own codes
	case isPlain(sent):
		return ""
	}
	return named
}

// isObject reports whether text begins with an object in UTF-8, as most bodies do. It may be
// followed by anything but a zero, as in UTF-16.
func isObject(text []byte) bool { return len(text) > 1 && text[0] == '{' && text[1] != 0 }

// isPlain reports whether text begins as JSON does whose root is an object or a list.
func isPlain(text []byte) bool {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, utf8Mark), " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// checkText returns why a body, when it was decompressed, cannot be JSON, if its first bytes
// say so.
func checkText(text []byte) error {
	switch {
	case bytes.HasPrefix(text, gzipMagic), bytes.HasPrefix(text, zstdMagic):
		return ErrTwice
	case isUTF16(text):
		return ErrUTF16
	}
	return nil
}

// isUTF16 reports whether text begins as JSON does in UTF-16 or UTF-32, in either order of
// bytes, with a byte order mark or without.
func isUTF16(text []byte) bool {
	for _, start := range []string{"\xff\xfe", "\xfe\xff", "\x00\x00\xfe\xff", "{\x00", "\x00{", "[\x00", "\x00[", "\x00\x00\x00{", "\x00\x00\x00["} {
		if bytes.HasPrefix(text, []byte(start)) {
			return true
		}
	}
	return false
}

// unmark removes the byte order mark that some editors and libraries put before UTF-8.
func (buf *Buffer) unmark() {
	if text, marked := bytes.CutPrefix(buf.Bytes, utf8Mark); marked {
		buf.Bytes = append(buf.Bytes[:0], text...) // onto itself: the buffer keeps its memory
	}
}

// minPadding is how much padding may follow any body.
const minPadding = 4 << 10

// isPadding reports whether rest, behind a compressed body of that length, is only what fills
// up the buffer, the block or the line that it was sent in: zeros or white space. A sender that
// doubles its buffer has at most as much of it as of the body.
func isPadding(rest []byte, body int) bool {
	return len(rest) <= max(minPadding, body) && len(bytes.TrimLeft(rest, "\x00 \t\r\n")) == 0
}

// A gzipBody reads the members of gzip, one after another, up to the padding behind the last.
type gzipBody struct{ *decompressor }

// Read reads the text of all members.
func (g gzipBody) Read(dst []byte) (int, error) {
	n, err := g.gzip.Read(dst)
	if err != io.EOF {
		return n, err
	}
	if end := len(g.sent) - g.source.Len(); isPadding(g.sent[end:], end) {
		return n, io.EOF
	}
	return n, g.nextMember()
}

// nextMember reads the header of a member.
func (d *decompressor) nextMember() (err error) {
	rest := d.sent[len(d.sent)-d.source.Len():]
	if !bytes.HasPrefix(rest, gzipMagic[:min(len(gzipMagic), len(rest))]) {
		return gzip.ErrHeader // also where less than a header is left
	}
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(&d.source)
	} else {
		err = d.gzip.Reset(&d.source)
	}
	if err != nil {
		d.gzip = nil
		return err
	}
	d.gzip.Multistream(false)
	return nil
}

// zstdBody returns the frames of a zstd body without the padding behind them.
func zstdBody(sent []byte) []byte {
	if len(sent) == 0 || !isPadding(sent[len(sent)-1:], 0) {
		return sent
	}
	end := 0
	for next := zstdFrame(sent); next > 0 && next <= len(sent)-end; next = zstdFrame(sent[end:]) {
		end += next
	}
	if end > 0 && isPadding(sent[end:], end) {
		return sent[:end]
	}
	return sent
}

// zstdFrame returns the length of the frame that sent begins with, 0 for none.
func zstdFrame(sent []byte) int {
	var header zstd.Header
	if header.Decode(sent) != nil {
		return 0
	}
	end := header.HeaderSize
	if header.Skippable {
		return end + int(header.SkippableSize)
	}
	for last := false; !last; {
		if len(sent)-end < 3 {
			return 0
		}
		block := int(sent[end]) | int(sent[end+1])<<8 | int(sent[end+2])<<16
		last = block&1 != 0
		if kind := block >> 1 & 3; kind == 1 { // one byte, repeated
			end++
		} else {
			end += block >> 3
		}
		if end += 3; end > len(sent) {
			return 0
		}
	}
	if header.HasCheckSum {
		end += 4
	}
	return end
}

// isZlib distinguishes the zlib form of "deflate", which the standard means, from the raw
// form, which some clients send: the zlib header is a multiple of 31.
func isZlib(sent []byte) bool {
	return len(sent) >= 2 && sent[0]&0x0f == 8 && binary.BigEndian.Uint16(sent)%31 == 0
}
