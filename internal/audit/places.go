package audit

import (
	"slices"
	"strconv"

	"sluice/internal/sale"
)

// places is the holds of a sale, or its line, in order.
type places []sale.Place

// begin says what is wrong with first as the beginning of these places; "" when
// nothing is. One that is not among them is learned, if it may have been taken
// before there was anything to see.
func (s *places) begin(first []sale.Place, early func(sale.Place) bool) (wrong string) {
	i := 0
	for _, p := range first {
		switch {
		case i < len(*s) && (*s)[i] == p:
		case i < len(*s) && (*s)[i].Compare(p) < 0:
			return tellPlace(*s, i) + " is left out"
		case !early(p):
			return tellPlace([]sale.Place{p}, 0) + " was never taken, or is left"
		default:
			*s = slices.Insert(*s, i, p)
		}
		i++
	}
	return ""
}

// change takes or leaves a place. It answers false when that cannot be.
func (s *places) change(e sale.PlaceEffect) bool {
	i, there := slices.BinarySearchFunc(*s, e.Place, sale.Place.Compare)
	switch {
	case there != e.Left:
		return false
	case !there:
		*s = slices.Insert(*s, i, e.Place)
	case i == 0:
		*s = (*s)[1:] // the usual way to leave, and no copying
	default:
		*s = slices.Delete(*s, i, i+1)
	}
	return true
}

// firstApart answers where a and b differ first, and whether they do not.
func firstApart(a, b []sale.Place) (int, bool) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i, false
		}
	}
	return min(len(a), len(b)), len(a) == len(b)
}

// contains says whether all of some are among all.
func contains(all, some []sale.Place) bool {
	for _, p := range some {
		if _, there := slices.BinarySearchFunc(all, p, sale.Place.Compare); !there {
			return false
		}
	}
	return true
}

// tellPlace puts a place into words.
func tellPlace(of []sale.Place, i int) string {
	if i >= len(of) {
		return "none"
	}
	return of[i].Receipt.String() + " at " + strconv.FormatInt(int64(of[i].At), 10)
}
