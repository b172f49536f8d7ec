package sale_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"sluice/internal/sale"
)

// The original promoted waiters with their old expiry, and two of them for one
// cancel; and it lost every seat whose hold had ended.
func TestLine(t *testing.T) {
	a, b, c, d := reserve("0:00", "a", alice, 1), reserve("1:00", "b", bob, 1), reserve("2:00", "c", carol, 1), reserve("3:00", "d", dave, 1)
	three := []string{"held at 100 by 10:00", "waiting at 100", "waiting at 100"}
	speak(t, []dialogue{
		{name: "one cancel promotes one, with a clock of his own", scene: ofSales(chair()), batches: together(a, b, c, cancel("9:00", alice, "a")),
			want: append(slices.Clone(three), "confirmed"), end: []string{"b: held at 100 by 19:00", "c: waiting at 100"}, units: "free 0 held 1 sold 0 waiting 1"},
		{name: "so does a hold that ends, at its own time", scene: ofSales(chair()), batches: together(a, b, c, expire("15:00")),
			want: append(slices.Clone(three), "confirmed"), end: []string{"a: expired at 100 by 10:00", "b: held at 100 by 20:00", "c: waiting at 100"}},
		{name: "one after the other, though nobody looked", scene: ofSales(chair()), batches: together(a, b, c, expire("35:00")),
			want:  append(slices.Clone(three), "confirmed"),
			end:   []string{"a: expired at 100 by 10:00", "b: expired at 100 by 20:00", "c: expired at 100 by 30:00"},
			units: "free 1 held 0 sold 0 waiting 0"},
		{name: "nobody waits: the unit is free", scene: ofSales(chair()), batches: together(a, expire("10:00"), reserve("11:00", "b", bob, 1)),
			want: []string{"held at 100 by 10:00", "confirmed", "held at 100 by 21:00"}},
		{name: "who leaves the line is not promoted", scene: ofSales(chair()), batches: together(a, b, c, cancel("5:00", bob, "b"), cancel("6:00", alice, "a")),
			want: append(slices.Clone(three), "confirmed", "confirmed"), end: []string{"b: cancelled at 100", "c: held at 100 by 16:00"}},
		{name: "nobody is promoted twice", scene: ofSales(chair()),
			batches: together(a, b, c, cancel("5:00", alice, "a"), cancel("6:00", bob, "b"), cancel("7:00", carol, "c"), expire("30:00")),
			want:    append(slices.Clone(three), "confirmed", "confirmed", "confirmed", "confirmed"),
			end:     []string{"a: cancelled at 100 by 10:00", "b: cancelled at 100 by 15:00", "c: cancelled at 100 by 16:00"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "one who comes does not pass those who wait", scene: ofSales(chair(stock(2), limit(2))),
			batches: together(a, reserve("1:00", "b", bob, 2), c),
			want:    []string{"held at 100 by 10:00", "waiting at 100", "waiting at 100"}, units: "free 1 held 1 sold 0 waiting 2"},
		{name: "growth serves the line", scene: ofSales(chair()), batches: together(a, b, c, d, grow(after("5:00"), "g", seller, 2)),
			want: append(slices.Clone(three), "waiting at 100", "confirmed"), end: []string{"b: held at 100 by 15:00", "c: held at 100 by 15:00", "d: waiting at 100"}},

		{name: "no line", scene: ofSales(chair(line(0))), batches: together(a, b), want: []string{"held at 100 by 10:00", "rejected sold_out"}},
		{name: "a line of one", scene: ofSales(chair(line(1))), batches: together(a, b, c, cancel("3:00", alice, "a"), reserve("3:00", "d", dave, 1)),
			want: []string{"held at 100 by 10:00", "waiting at 100", "rejected line_full", "confirmed", "waiting at 100"}},

		{name: "at closes_at the line is rejected, and holds live on", scene: ofSales(chair()),
			batches: together(reserve("55:00", "a", alice, 1), reserve("56:00", "b", bob, 1), tick(after("60:00"), "close", sale.Close), pay("64:00", alice, "a")),
			want:    []string{"held at 100 by 65:00", "waiting at 100", "confirmed", "confirmed at 100"}, end: []string{"b: rejected closed at 100"},
			units: "free 0 held 0 sold 1 waiting 0"},
		{name: "nobody is promoted after it", scene: ofSales(chair()),
			batches: together(reserve("55:00", "a", alice, 1), reserve("56:00", "b", bob, 1), cancel("60:00", alice, "a"), tick(after("60:00"), "close", sale.Close)),
			want:    []string{"held at 100 by 65:00", "waiting at 100", "confirmed", "confirmed"}, end: []string{"b: rejected closed at 100"}},
		{name: "nor by a hold that ends at that very moment", scene: ofSales(chair()),
			batches: together(reserve("50:00", "a", alice, 1), reserve("51:00", "b", bob, 1), tick(after("60:00"), "close", sale.Close)),
			want:    []string{"held at 100 by 60:00", "waiting at 100", "confirmed"}, end: []string{"a: expired at 100 by 60:00", "b: rejected closed at 100"}},
		{name: "but by one that ends just before", scene: ofSales(chair()),
			batches: together(change(reserve("50:00", "a", alice, 1), func(e *sale.Entry) { e.ID.At-- }), reserve("51:00", "b", bob, 1), tick(after("60:00"), "close", sale.Close)),
			want:    []string{"held at 100 by 59:59.999", "waiting at 100", "confirmed"}, end: []string{"b: held at 100 by 69:59.999"}},
		{name: "a later close keeps it waiting", scene: ofSales(chair()),
			batches: together(reserve("55:00", "a", alice, 1), reserve("56:00", "b", bob, 1),
				change(grow(after("59:00"), "g", seller, 0), func(e *sale.Entry) { e.ClosesAt = after("70:00") }), tick(after("65:00"), "t", sale.Close)),
			want: []string{"held at 100 by 65:00", "waiting at 100", "confirmed", "confirmed"}, end: []string{"a: expired at 100 by 65:00", "b: held at 100 by 75:00"}},
		{name: "who waited is told already_final, who was refused is not known", scene: ofSales(chair(line(1))),
			batches: together(reserve("55:00", "a", alice, 1), reserve("56:00", "b", bob, 1), reserve("57:00", "c", carol, 1),
				tick(after("60:00"), "close", sale.Close), pay("60:00", bob, "b"), pay("60:00", carol, "c")),
			want: []string{"held at 100 by 65:00", "waiting at 100", "rejected line_full", "confirmed", "rejected already_final", "rejected not_payable"}},
	})
}

// A request for several units gets all of them or waits, and may be passed as often
// as the sale says.
func TestBypass(t *testing.T) {
	two := func(clock, receipt string, buyer int64) sale.Entry { return reserve(clock, receipt, buyer, 2) }
	one := func(clock, receipt string, buyer int64) sale.Entry { return reserve(clock, receipt, buyer, 1) }
	chairs := func(times int64) func() scene { return ofSales(chair(stock(2), limit(2), bypass(times))) }
	speak(t, []dialogue{
		{name: "never", scene: chairs(0), batches: together(two("0:00", "a", 1), two("0:01", "b", 2), one("0:02", "c", 3), one("0:02", "d", 4),
			pay("1:00", 1, "a"), cancel("2:00", 1, "a")),
			want: []string{"held at 100 by 10:00", "waiting at 100", "waiting at 100", "waiting at 100", "confirmed at 100", "confirmed at 100"},
			end:  []string{"b: held at 100 by 12:00", "c: waiting at 100", "d: waiting at 100"}},
		{name: "all or none: the first waits for two, one is free", scene: chairs(0), batches: together(one("0:00", "a", 1), one("0:00", "b", 2), two("0:01", "c", 3), one("0:02", "d", 4),
			cancel("1:00", 1, "a")),
			want:  []string{"held at 100 by 10:00", "held at 100 by 10:00", "waiting at 100", "waiting at 100", "confirmed"},
			units: "free 1 held 1 sold 0 waiting 2"},
		{name: "and when he leaves, the next one has it", scene: chairs(0), batches: together(one("0:00", "a", 1), one("0:00", "b", 2), two("0:01", "c", 3), one("0:02", "d", 4),
			cancel("1:00", 1, "a"), cancel("2:00", 3, "c")),
			want: []string{"held at 100 by 10:00", "held at 100 by 10:00", "waiting at 100", "waiting at 100", "confirmed", "confirmed"},
			end:  []string{"d: held at 100 by 12:00"}, units: "free 0 held 2 sold 0 waiting 0"},
		{name: "once by one who waits, and no more", scene: chairs(1), batches: together(one("0:00", "a", 1), one("0:00", "b", 2), two("0:01", "c", 3), one("0:02", "d", 4), one("0:03", "e", 5),
			cancel("1:00", 1, "a"), cancel("2:00", 4, "d"), cancel("3:00", 2, "b")),
			want: []string{"held at 100 by 10:00", "held at 100 by 10:00", "waiting at 100", "waiting at 100", "waiting at 100", "confirmed", "confirmed", "confirmed"},
			end:  []string{"c: held at 100 by 13:00", "e: waiting at 100"}, units: "free 0 held 2 sold 0 waiting 1"},
		{name: "once by one who comes", scene: chairs(1), batches: together(one("0:00", "a", 1), two("0:01", "b", 2), one("0:02", "c", 3), cancel("1:00", 3, "c"), one("1:01", "d", 4)),
			want:  []string{"held at 100 by 10:00", "waiting at 100", "held at 100 by 10:02", "confirmed", "waiting at 100"},
			units: "free 1 held 1 sold 0 waiting 2"},
		{name: "each as often as himself", scene: chairs(2), batches: together(one("0:00", "a", 1), two("0:01", "b", 2), one("0:02", "c", 3),
			two("0:03", "d", 4), cancel("1:00", 3, "c"), one("1:01", "e", 5), cancel("1:02", 5, "e"), one("1:03", "f", 6)),
			want: []string{"held at 100 by 10:00", "waiting at 100", "held at 100 by 10:02", "waiting at 100", "confirmed", "held at 100 by 11:01", "confirmed", "waiting at 100"}},
	})
	s := chairs(2)()
	for _, batch := range apart(numbered([]sale.Entry{one("0:00", "a", 1), two("0:01", "b", 2), one("0:02", "c", 3), two("0:03", "d", 4),
		cancel("1:00", 3, "c"), one("1:01", "e", 5)}, 0)...) {
		s.decide(t, batch...)
	}
	if b, d := s.facts.Receipts[name("b")].Passed, s.facts.Receipts[name("d")].Passed; b != 2 || d != 1 {
		t.Errorf("b was passed %d times and d %d, want 2 and 1", b, d)
	}
}

// Nobody passes from behind the first hundred, however often the sale allows it.
func TestBypassReach(t *testing.T) {
	for _, waiting := range []int{sale.BypassReach - 1, sale.BypassReach, sale.BypassReach + 1} {
		s := ofSales(chair(stock(2), limit(2), bypass(1000), line(1000)))()
		entries := []sale.Entry{reserve("0:00", "a", 1, 1)}
		for i := range waiting {
			entries = append(entries, reserve("0:01", fmt.Sprint("two ", i), int64(i+10), 2))
		}
		entries = append(entries, reserve("0:02", "comes", 2, 1))
		said, _ := s.decide(t, numbered(entries, 0)...)
		want := "waiting at 100"
		if waiting < sale.BypassReach {
			want = "held at 100 by 10:02"
		}
		if got := said[len(said)-1]; got != want {
			t.Errorf("behind %d: %s, want %s", waiting, got, want)
		}
		if waiting < sale.BypassReach {
			continue
		}
		// One before him leaves: then he stands within reach, if he was next to it.
		s.decide(t, numbered([]sale.Entry{cancel("0:03", 10, "two 0")}, len(entries))...)
		want = map[int]string{sale.BypassReach: "held at 100 by 10:03", sale.BypassReach + 1: "waiting at 100"}[waiting]
		if got := s.standing("comes"); got != want {
			t.Errorf("behind %d, of whom one left: %s, want %s", waiting, got, want)
		}
	}
}

// TestShortViews: a view that shows too little of a line is told so, and never
// decided on.
func TestShortViews(t *testing.T) {
	whole := ofSales(chair(stock(2), limit(2), bypass(1)))()
	whole.decide(t, numbered([]sale.Entry{reserve("0:00", "a", 1, 1), reserve("0:00", "z", 9, 1), reserve("0:01", "b", 2, 2), reserve("0:02", "c", 3, 1)}, 0)...)
	patient := ofSales(chair(stock(2), limit(2), bypass(1)))() // one is free, and the first waits for two
	patient.decide(t, numbered([]sale.Entry{reserve("0:00", "a", 1, 1), reserve("0:01", "b", 2, 2)}, 0)...)
	strict := ofSales(chair(stock(2), limit(2)))()
	strict.decide(t, numbered([]sale.Entry{reserve("0:00", "a", 1, 1), reserve("0:01", "b", 2, 2)}, 0)...)
	queue := reserve("1:00", "d", 4, 1)
	for _, c := range []struct {
		name    string
		scene   scene
		entries []sale.Entry
		depth   int
		short   bool
	}{
		{"a reserve when nothing is free", whole, []sale.Entry{queue}, 0, false},
		{"a payment", whole, []sale.Entry{pay("1:00", 1, "a")}, 0, false},
		{"a cancel promotes somebody", whole, []sale.Entry{cancel("1:00", 1, "a")}, 0, true},
		{"he may be behind the one that is shown", whole, []sale.Entry{cancel("1:00", 1, "a")}, 1, true},
		{"he is shown", whole, []sale.Entry{cancel("1:00", 1, "a")}, 2, false},
		{"he is not the one who has just come", whole, []sale.Entry{queue, cancel("1:01", 1, "a")}, 0, true},
		{"a cancel of the first in line, with nothing free", whole, []sale.Entry{cancel("1:00", 2, "b")}, 0, false},
		{"all that are not shown leave: who has just come is the first", whole,
			[]sale.Entry{queue, cancel("1:01", 2, "b"), cancel("1:02", 3, "c"), cancel("1:03", 1, "a")}, 0, false},
		{"all but one", whole, []sale.Entry{queue, cancel("1:01", 2, "b"), cancel("1:03", 1, "a")}, 0, true},
		{"the close", whole, []sale.Entry{tick(after("60:00"), "t", sale.Close)}, 0, true},
		{"one who comes may pass, or not", patient, []sale.Entry{queue}, 0, true},
		{"he may", patient, []sale.Entry{queue}, 1, false},
		{"he may not, whoever waits", strict, []sale.Entry{queue}, 0, false},
	} {
		entries := numbered(c.entries, 4)
		part, facts := c.scene.view(entries, c.depth)
		got := sale.Decide(part, facts, entries)
		if (len(got.Short) > 0) != c.short {
			t.Errorf("%s: short of %v", c.name, got.Short)
		}
		all, facts := c.scene.view(entries, 1<<20)
		if want := sale.Decide(all, facts, entries); !c.short && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: decided\n%+v, and with all of the line\n%+v", c.name, got, want)
		}
	}

	// Nor is anything decided on places that no receipt stands at.
	entries := numbered([]sale.Entry{expire("10:00")}, 4)
	for _, id := range []string{"a", "b"} {
		state, facts := whole.view(entries, 10)
		delete(facts.Receipts, name(id))
		if got := sale.Decide(state, facts, entries).Short; !slices.Equal(got, []int64{lamp}) {
			t.Errorf("without the receipt of %s: short of %v", id, got)
		}
	}
}
