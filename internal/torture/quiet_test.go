package torture

import (
	"testing"

	"sluice/client"
)

// TestCheckQuiet: of what nobody asked for nothing is missing.
func TestCheckQuiet(t *testing.T) {
	for name, test := range map[string]struct {
		quiet Quiet
		fine  bool
	}{
		"untouched":  {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 7, Free: 7}}, true},
		"one sold":   {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 7, Free: 6, Sold: 1}}, false},
		"one held":   {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 7, Free: 6, Held: 1}}, false},
		"grown":      {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 8, Free: 8}}, false},
		"one waits":  {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 7, Free: 7, Waiting: 1}}, false},
		"gone":       {Quiet{Sale: 1, Offered: 7}, false},
		"unreadable": {Quiet{Sale: 1, Offered: 7, Stock: client.Stock{Total: 7, Free: 7}, Unread: "404 unknown_sale"}, false},
	} {
		found := CheckQuiet(History{Quiet: []Quiet{test.quiet}})
		if fine := len(found) == 0; fine != test.fine || !fine && found[0].Rule != Untouched {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
