package torture

import (
	"strings"
	"testing"

	"sluice/client"
)

// TestCheckWaiters: the first is told all that there is, each other one something that is
// wrong, or not all of it.
func TestCheckWaiters(t *testing.T) {
	h := History{
		Requests: []*Request{
			{Key: "a", Account: 1, Answers: []string{"r1"}, Seen: []Sighting{{Status: client.Waiting}, {Status: client.Held}, {Status: client.Confirmed}}},
			{Key: "b", Account: 1, Answers: []string{"r2"}, Seen: []Sighting{{Status: client.Rejected}}},
			{Key: "c", Account: 1, Refused: "sold_out"},
		},
		Closed: []client.Sale{{ID: 7, State: client.Closed}},
	}
	r1 := func(told ...client.Status) map[string][]client.Status {
		return map[string][]client.Status{"r1": told}
	}
	for name, test := range map[string]struct {
		waiter Waiter
		want   string
	}{
		"all":              {Waiter{How: byStream, Told: r1(client.Queued, client.Held, client.Confirmed)}, ""},
		"nothing":          {Waiter{How: byStream}, ""}, // he came and went: nothing was missed
		"not the end":      {Waiter{How: byRaw, Told: r1(client.Queued, client.Held)}, "it is confirmed"},
		"another end":      {Waiter{How: byRaw, Told: r1(client.Expired)}, "it is confirmed"},
		"back":             {Waiter{How: byRaw, Told: r1(client.Confirmed, client.Held, client.Confirmed)}, "told [confirmed held confirmed]"},
		"another course":   {Waiter{How: byRaw, Told: r1(client.Rejected, client.Confirmed)}, "told [rejected confirmed]"},
		"a stranger's":     {Waiter{How: byRaw, Told: map[string][]client.Status{"r9": {client.Queued}}}, "no key was answered with"},
		"failed":           {Waiter{How: byStream, Failed: "404"}, "told no more: 404"},
		"mine":             {Waiter{How: byMine, Account: 1, Told: map[string][]client.Status{"r1": {client.Confirmed}, "r2": {client.Rejected}}}, ""},
		"mine, but one":    {Waiter{How: byMine, Account: 1, Told: r1(client.Confirmed)}, "never told of r2"},
		"a sale":           {Waiter{How: bySale, Sale: 7, State: client.Closed}, ""},
		"a sale, too soon": {Waiter{How: bySale, Sale: 7, State: client.SoldOut}, "told that it is"},
	} {
		h.Waiters = []*Waiter{&test.waiter}
		found := CheckWaiters(h)
		if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !strings.Contains(found[0].Detail, test.want)) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
