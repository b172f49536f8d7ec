package torture

import (
	"slices"
	"testing"

	"sluice/client"
)

// TestCheckCoupons: a coupon pays for one purchase at a time, and for its owner's.
func TestCheckCoupons(t *testing.T) {
	with := func(key string, account int64, status client.Status) *Request {
		return &Request{Key: key, Account: account, Verb: client.VerbReserve, Asked: Asked{Coupon: "c"}, Answers: []string{key},
			Seen: []Sighting{{Receipt: key, Status: status}}}
	}
	claim := &Request{Key: "claim", Account: 5, Verb: client.VerbClaim, Answers: []string{"c"}, Seen: []Sighting{{Receipt: "c", Status: client.Confirmed}}}
	for name, test := range map[string]struct {
		uses []*Request
		want []string // keys that break the rule
	}{
		"once":                      {[]*Request{with("a", 5, client.Confirmed)}, nil},
		"after it came back":        {[]*Request{with("a", 5, client.Cancelled), with("b", 5, client.Expired), with("c", 5, client.Rejected), with("d", 5, client.Held)}, nil},
		"twice":                     {[]*Request{with("a", 5, client.Confirmed), with("b", 5, client.Confirmed)}, []string{"b"}},
		"while it is held by other": {[]*Request{with("a", 5, client.Confirmed), with("b", 5, client.Held)}, []string{"b"}},
		"another's":                 {[]*Request{with("a", 6, client.Confirmed)}, []string{"a"}},
	} {
		var keys []string
		for _, v := range CheckCoupons(History{Requests: append([]*Request{claim}, test.uses...)}) {
			if v.Rule != UsedOnce {
				t.Errorf("%s: %+v", name, v)
			}
			keys = append(keys, v.Key)
		}
		if !slices.Equal(keys, test.want) {
			t.Errorf("%s: found %q, want %q", name, keys, test.want)
		}
	}
	if found := CheckCoupons(History{Requests: []*Request{with("a", 5, client.Confirmed)}}); len(found) != 1 {
		t.Errorf("a coupon that nobody claimed: %+v", found)
	}
}
