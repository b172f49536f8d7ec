package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// framing is what two servers in a row could make of the headers of one request. Where
// they see its end at two places, somebody can hide a second one in it.
type framing int

const (
	oneEnd  framing = iota
	doubled         // it has both a length and chunks
	unclear         // RFC 9112 forbids what fasthttp takes
)

// framingOf goes through the headers as they came. fasthttp refuses most of what is
// unclear by itself; what is left are lines that end without CR (RFC 9112, 2.2) or go on
// in the next (5.2), names with blanks and the like (5.1), and codings that are neither
// chunked nor refused (6.1).
func framingOf(h *fasthttp.RequestHeader) framing {
	length, chunks := false, false
	for raw := h.RawHeaders(); len(raw) > 0; {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return unclear
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			return unclear
		}
		switch colon {
		case len("Content-Length"):
			length = length || bytes.EqualFold(line[:colon], []byte("Content-Length"))
		case len("Transfer-Encoding"):
			if bytes.EqualFold(line[:colon], []byte("Transfer-Encoding")) {
				if chunks = true; !bytes.EqualFold(bytes.Trim(line[colon+1:], " \t"), []byte("chunked")) {
					return unclear
				}
			}
		}
	}
	if length && chunks {
		return doubled
	}
	return oneEnd
}

// token has the characters that a header's name may have (RFC 9110, 5.6.2).
var token = func() (allowed [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		allowed[c] = true
	}
	return allowed
}()

func isToken(name []byte) bool {
	for _, c := range name {
		if !token[c] {
			return false
		}
	}
	return true
}
