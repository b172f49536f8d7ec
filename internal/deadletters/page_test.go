package deadletters

import (
	"strings"
	"testing"
)

// pages turns the pages of the list, of every length, which must be want.
func (h *house) pages(want []Letter) {
	h.t.Helper()
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []Letter
		for after, more := (Place{}), true; more; {
			var page []Letter
			var err error
			page, more, err = h.letters.Page(h.ctx, after, limit)
			h.must(err)
			if len(page) > limit || more && len(page) < limit {
				h.t.Fatalf("a page of %d has %d letters, and more is %v", limit, len(page), more)
			}
			if got = append(got, page...); len(got) > len(want) {
				h.t.Fatalf("by %d: %+v", limit, got)
			}
			if more {
				after = got[len(got)-1].Place()
			}
		}
		for i := range want {
			if len(got) != len(want) || got[i].Place() != want[i].Place() || got[i].Receipt != want[i].Receipt {
				h.t.Fatalf("by %d: %+v, want %+v", limit, got, want)
			}
			if name := got[i].Place().String(); !strings.HasSuffix(name, "-"+got[i].ID) {
				h.t.Errorf("its place is %s, its ID %s", name, got[i].ID)
			}
		}
	}
}

// TestNoPage: behind the last partition there is nothing, and no fault.
func TestNoPage(t *testing.T) {
	h := open(t)
	h.pages(nil)
	if page, more, err := h.letters.Page(h.ctx, Place{Partition: partitions}, 5); len(page) > 0 || more || err != nil {
		t.Errorf("%v, %v, %v", page, more, err)
	}
}
