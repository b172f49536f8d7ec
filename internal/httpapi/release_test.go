package httpapi

import (
	"net/url"
	"testing"

	"github.com/google/uuid"
)

// TestCursorsOfTheLastRelease: whoever has a page of one process may ask another one for
// the next. These are of release 5bfd087, one of each list in the order of their numbers.
func TestCursorsOfTheLastRelease(t *testing.T) {
	at := position{4102444800000, 7, uuid.MustParse("00112233-4455-8677-8899-aabbccddeeff")}
	asked := askedFor(9, url.Values{"kind": {"auction"}, "state": {"open"}})
	for i, released := range []string{
		"AQEAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_14UzsO5xnRX",
		"AQIAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_1qOqmcsT0Dp",
		"AQMAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_96ECVXDYXfi",
		"AQQAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_zosaq2_ALr_",
		"AQUAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_8gL6n6kLOoh",
		"AQYAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_47V1H_QI_2b",
		"AQcAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_y0JUUEZCH2y",
		"AQgAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_8n3vU0YO7kM",
		"AQkAAAO7LMPYAAAAAAAAAAAHABEiM0RVhneImaq7zN3u_-C2e732rUYL",
	} {
		l := list(i + 1)
		if got, ok := l.parse(released, asked); !ok || got != at {
			t.Errorf("list %d: read as %+v, %t", l, got, ok)
		}
		if got := l.cursor(at, asked); got != released {
			t.Errorf("list %d: written as %s", l, got)
		}
	}
}
