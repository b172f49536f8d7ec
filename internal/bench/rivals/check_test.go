package main

import (
	"strings"
	"testing"

	"sluice/internal/embedded/embeddedtest"
)

// TestCheck: books that are right pass, and each planted wrong is found.
func TestCheck(t *testing.T) {
	postgres := embeddedtest.Postgres(t)
	for name, test := range map[string]struct {
		wrong string
		found func(finding) bool
	}{
		"right":             {``, func(f finding) bool { return f.complaints(2) == "" }},
		"a missing entry":   {`delete from rivals.entries where debit = 1`, func(f finding) bool { return f.Entries == 1 && !f.PointsOK }},
		"an entry twice":    {`insert into rivals.entries (receipt, debit, credit, amount) select receipt, debit, credit, amount from rivals.entries where debit = 1`, notPoints},
		"another's entry":   {`update rivals.entries set debit = 3 where debit = 1; update rivals.wallets set balance = 15 where id = 1; update rivals.wallets set balance = 5 where id = 3`, notPoints},
		"a wallet off by 1": {`update rivals.wallets set balance = balance + 1 where id = 9`, notPoints},
		"an escrow off":     {`update rivals.wallets set balance = balance - 1 where id = -1`, notPoints},
		"a cheaper entry":   {`update rivals.entries set amount = 9 where debit = 1; update rivals.wallets set balance = balance + 1 where id = 1; update rivals.wallets set balance = balance - 1 where id = -1`, notPoints},
		"a lost wallet":     {`delete from rivals.wallets where id = 1`, notPoints},
		"a lost receipt":    {`delete from rivals.receipts where buyer = 1`, func(f finding) bool { return f.Sold == 1 && f.Receipts == 1 && !f.PointsOK }},
		"a counter off":     {`update rivals.sales set sold = 1`, func(f finding) bool { return f.Counted == 1 && f.PointsOK && f.complaints(2) != "" }},
		"oversold":          {`update rivals.sales set sold = 1, stock = 1`, func(f finding) bool { return f.Oversold == 1 }},
		"a rejection":       {`insert into rivals.receipts values (gen_random_uuid(), 1, 3, 1, 10, 'rejected', 'sold_out')`, func(f finding) bool { return f.Rejected == 1 && f.PointsOK && f.complaints(2) == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := makeBooks(t, postgres)
			for buyer := int64(1); buyer <= 2; buyer++ {
				o, err := b.sellLocked(t.Context(), bid{Receipt: [16]byte{byte(buyer)}, Sale: 1, Buyer: buyer, Quantity: 1, Price: 10})
				if err != nil || o != sold {
					t.Fatal(o, err)
				}
			}
			for statement := range strings.SplitSeq(test.wrong, ";") {
				_, err := b.pool.Exec(t.Context(), statement)
				must(t, err)
			}
			if f := look(t, postgres); !test.found(f) {
				t.Errorf("the books say %+v", f)
			}
		})
	}
}

func notPoints(f finding) bool { return !f.PointsOK }

// TestSetupTwice: what was there goes, and the books have another name.
func TestSetupTwice(t *testing.T) {
	postgres := embeddedtest.Postgres(t)
	b := makeBooks(t, postgres)
	if o, err := b.sellLocked(t.Context(), bid{Receipt: [16]byte{1}, Sale: 1, Buyer: 1, Quantity: 1, Price: 10}); err != nil || o != sold {
		t.Fatal(o, err)
	}
	must(t, (&setup{Postgres: postgres, Sale: 1, Stock: 5, Buyers: 1, Balance: 0}).Run(t.Context()))
	if f, want := look(t, postgres), (finding{Stock: 5, PointsOK: true}); f != want {
		t.Errorf("the books say %+v", f)
	}
	again, err := openBooks(t.Context(), postgres, 1)
	must(t, err)
	defer again.close()
	if again.name == b.name {
		t.Error("the new books have the name of the old ones")
	}
}

func TestSetupRefuses(t *testing.T) {
	for _, s := range []setup{{Sale: 0, Buyers: 1}, {Sale: 1, Stock: -1, Buyers: 1}, {Sale: 1, Buyers: 0}, {Sale: 1, Buyers: 1, Balance: -1}} {
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing may be negative") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
