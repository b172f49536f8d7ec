package httpapi

import (
	"bufio"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkFraming is what looking at the headers of a usual request costs.
func BenchmarkFraming(b *testing.B) {
	var h fasthttp.RequestHeader
	text := "POST /v1/sales/7/bids HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 26\r\nAuthorization: Bearer " +
		strings.Repeat("x", 200) + "\r\nContent-Type: application/json\r\nIdempotency-Key: 0193a200d563f97001\r\nAccept-Encoding: gzip\r\n\r\n"
	if err := h.Read(bufio.NewReader(strings.NewReader(text))); err != nil || framingOf(&h) != oneEnd {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		framingOf(&h)
	}
}
