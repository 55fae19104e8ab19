package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/inlet-go/inlet"
)

// What an encrypted body may be like. A record is decrypted as a whole, so its size is the memory
// that a request takes here; very small ones, and those with nothing but padding, cost time.
const (
	coding    = "aes128gcm"
	minRecord = 512
	maxRecord = 64 << 10
	maxSealed = 8 << 20
	saltBytes = 16
)

// decrypting returns a layer that decrypts the bodies that one of the keys has encrypted.
func decrypting(keys map[string][]byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if inner, ok := withoutCoding(r.Header.Values("Content-Encoding")); ok {
				r = decrypted(r, keys, inner)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// decrypted returns a copy of r, which is not ours to change, whose Body decrypts when it is read:
// a request that is refused before that costs nothing. Its length is not known.
func decrypted(r *http.Request, keys map[string][]byte, encoding string) *http.Request {
	plain := *r
	plain.Header = r.Header.Clone()
	plain.Header.Del("Content-Encoding")
	if encoding != "" {
		plain.Header.Set("Content-Encoding", encoding)
	}
	plain.Header.Del("Content-Length")
	plain.ContentLength = -1
	plain.Body = &decrypter{Closer: r.Body, from: io.LimitReader(r.Body, maxSealed), keys: keys}
	return &plain
}

// withoutCoding returns the encodings inside of the encryption, and whether a body is encrypted.
func withoutCoding(header []string) (inner string, ok bool) {
	encodings := strings.Split(strings.Join(header, ","), ",")
	last := len(encodings) - 1
	if !strings.EqualFold(strings.TrimSpace(encodings[last]), coding) {
		return "", false
	}
	return strings.TrimSpace(strings.Join(encodings[:last], ",")), true
}

// A decrypter reads a body and decrypts it record by record.
type decrypter struct {
	io.Closer

	from   io.Reader
	keys   map[string][]byte
	aead   cipher.AEAD
	nonce  []byte
	number uint64 // of the next record
	record []byte // memory for one
	plain  []byte // of the record, what has not been read
	err    error  // after that
}

// Read returns what was decrypted. Its errors are the answers to the request.
func (d *decrypter) Read(p []byte) (int, error) {
	for len(d.plain) == 0 && d.err == nil {
		d.err = d.next()
	}
	n := copy(p, d.plain)
	if d.plain = d.plain[n:]; n > 0 {
		return n, nil
	}
	return 0, d.err
}

// next decrypts a record. After the last one it returns io.EOF.
func (d *decrypter) next() error {
	if d.aead == nil {
		if err := d.start(); err != nil {
			return err
		}
	}
	n, err := io.ReadFull(d.from, d.record)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err // such as a client that is too slow
	}
	plain, err := d.aead.Open(d.record[:0], d.recordNonce(), d.record[:n], nil)
	if err != nil {
		return refused("the body ended early, or was encrypted with another key", err)
	}
	d.number++
	plain = bytes.TrimRight(plain, "\x00")
	if len(plain) == 0 {
		return refused("a record of the body has no delimiter", nil)
	}
	end := len(plain) - 1
	d.plain = plain[:end]
	switch plain[end] {
	case 1:
		return nil
	case 2:
		return d.requireEnd()
	default:
		return refused("a record of the body has no delimiter", nil)
	}
}

// start reads the header of the body and derives the key from it.
func (d *decrypter) start() error {
	var head [saltBytes + 5]byte
	if _, err := io.ReadFull(d.from, head[:]); err != nil {
		return short(err)
	}
	size, id := binary.BigEndian.Uint32(head[saltBytes:]), make([]byte, head[saltBytes+4])
	if _, err := io.ReadFull(d.from, id); err != nil {
		return short(err)
	}
	key, known := d.keys[string(id)]
	if !known || size < minRecord || size > maxRecord {
		return refused("the body was encrypted with an unknown key, or has records of a size that is not accepted", nil)
	}
	var err error
	if d.aead, d.nonce, err = derive(key, head[:saltBytes]); err != nil {
		return err
	}
	d.record = make([]byte, size)
	return nil
}

func (d *decrypter) recordNonce() []byte { return recordNonce(d.nonce, d.number) }

// requireEnd returns io.EOF if nothing follows.
func (d *decrypter) requireEnd() error {
	if n, err := io.ReadFull(d.from, d.record[len(d.record)-1:]); n > 0 {
		return refused("something follows the last record of the body", err)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &inlet.Error{Code: inlet.CodeIncompleteBody, Err: err}
	}
	return err
}

func refused(message string, err error) error {
	return &inlet.Error{Code: inlet.CodeInvalidEncoding, Message: message, Err: err}
}

// derive returns the cipher of a body and the nonce from which those of its records are made.
func derive(key, salt []byte) (cipher.AEAD, []byte, error) {
	secret, err := hkdf.Key(sha256.New, key, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Key(sha256.New, key, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, nonce, err
}

func recordNonce(base []byte, number uint64) []byte {
	nonce := bytes.Clone(base)
	low := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^number)
	return nonce
}

// encrypt does what an app does, in records of 4 KiB.
func encrypt(id string, key, plain []byte) []byte {
	const size = 4096
	records := len(plain)/(size-17) + 1 // each has a delimiter and a tag
	sealed := make([]byte, saltBytes, saltBytes+5+len(id)+len(plain)+17*records)
	rand.Read(sealed) // never fails, as its documentation says
	aead, nonce, err := derive(key, sealed)
	if err != nil {
		panic(err) // impossible: the sizes are constant
	}
	sealed = binary.BigEndian.AppendUint32(sealed, size)
	sealed = append(append(sealed, byte(len(id))), id...)
	for number := uint64(0); ; number++ {
		n := min(len(plain), size-aead.Overhead()-1)
		last := n == len(plain)
		delimiter := byte(1)
		if last {
			delimiter = 2
		}
		record := append(bytes.Clone(plain[:n]), delimiter)
		sealed = aead.Seal(sealed, recordNonce(nonce, number), record, nil)
		if plain = plain[n:]; last {
			return sealed
		}
	}
}
