package sale_test

import (
	"fmt"
	"reflect"
	"testing"

	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// crowd is 1200 who hold a chair since a moment and 1300 who wait for one, in a
// scene and in the model.
type crowd struct {
	t       *testing.T
	scene   scene
	model   *saletest.Model
	seq     int
	limited bool // whether a tick is shown no more holds and places than it can move
}

const holding, waiting = 1200, 1300

func newCrowd(t *testing.T, since string, limited bool) *crowd {
	terms := chair(stock(holding), line(2*waiting))
	points := map[int64]int64{}
	var entries []sale.Entry
	for i := range int64(holding + waiting) {
		points[i+1] = 100
		entries = append(entries, reserve(since, fmt.Sprint("r", i), i+1, 1))
	}
	c := &crowd{t: t, scene: newScene(points, terms), model: saletest.NewModel(1, []sale.Sale{terms}, points), limited: limited}
	entries = numbered(entries, 0)
	c.seq = len(entries)
	c.scene.decide(t, entries...)
	for _, e := range entries {
		c.model.Hear(e)
	}
	if got, want := c.scene.units(lamp), "free 0 held 1200 sold 0 waiting 1300"; got != want {
		t.Fatalf("begins with %s, want %s", got, want)
	}
	return c
}

// ask decides an entry, which must end as in the model, and answers how many
// receipts it has moved.
func (c *crowd) ask(e sale.Entry) int {
	c.t.Helper()
	e = numbered([]sale.Entry{e}, c.seq)[0]
	c.seq++
	entries := []sale.Entry{e}
	state, facts := c.scene.view(entries, 1<<20)
	if stand := state[lamp]; c.limited && e.Verb.Tick() {
		stand.Holds = stand.Holds[:min(len(stand.Holds), sale.TickMost)]
		stand.Line = stand.Line[:min(len(stand.Line), sale.TickMost)]
	}
	b := sale.Batch{Entries: entries, State: state, Facts: facts, Decision: sale.Decide(state, facts, entries)}
	if len(b.Short) > 0 {
		c.t.Fatalf("%s is short", e.Verb)
	}
	c.scene.apply(b)
	if want := c.model.Hear(e); b.Outcomes[0] != want {
		c.t.Errorf("%s: %s, the model says %s", e.Verb, say(b.Outcomes[0]), say(want))
	}
	// The last hold that a tick ends may promote one more.
	if moved := len(b.Effects.Moves); e.Verb.Tick() && moved > sale.TickMost+1 {
		c.t.Errorf("a tick moved %d receipts", moved)
	}
	return len(b.Effects.Moves)
}

// ticks lets the scheduler tick until nothing is due, and then compares everything.
func (c *crowd) ticks(clock string, want int) {
	c.t.Helper()
	n := 0
	for moved := 1; moved > 0; n++ {
		moved = c.ask(tick(after(clock), fmt.Sprint("tick ", c.seq), sale.Expire))
	}
	if n != want {
		c.t.Errorf("%d ticks, want %d", n, want)
	}
	if got, want := c.scene.state[lamp], c.model.Stand(lamp); !reflect.DeepEqual(got, want) {
		c.t.Errorf("stands with %s, %s; in the model with %d free, %d held, %d waiting, %s", c.scene.units(lamp), got.Phase, want.Free, want.Held, want.Waiting, want.Phase)
	}
	if !reflect.DeepEqual(c.scene.facts.Receipts, c.model.Receipts()) {
		c.t.Error("the receipts differ from the model's")
	}
	for _, complaint := range c.scene.broken() {
		c.t.Error(complaint)
	}
}

// eachWay runs a test with all shown to a tick, and with as much as it can move.
func eachWay(t *testing.T, test func(t *testing.T, limited bool)) {
	t.Run("all shown", func(t *testing.T) { test(t, false) })
	t.Run("as much as it moves", func(t *testing.T) { test(t, true) })
}

// TestTicksInPortions: what a tick leaves, the next one does.
func TestTicksInPortions(t *testing.T) {
	eachWay(t, func(t *testing.T, limited bool) {
		c := newCrowd(t, "0:00", limited)
		c.ticks("9:59", 1)
		c.ticks("10:00", 6) // 1200 end, 1200 are promoted: 2400 moves, and one to see that there are no more
		if got, want := c.scene.units(lamp), "free 0 held 1200 sold 0 waiting 100"; got != want {
			t.Errorf("after 10 minutes %s, want %s", got, want)
		}
	})
}

// TestTickThatComesTooLate: nobody has asked anything since the first minute, and the
// sale has closed. Everybody is promoted at his own time, and his hold ends at its
// own, before anybody who may still wait is rejected.
func TestTickThatComesTooLate(t *testing.T) {
	eachWay(t, func(t *testing.T, limited bool) {
		c := newCrowd(t, "0:00", limited)
		c.ticks("70:00", 9) // 2500 end, 1300 are promoted: 3800 moves
		if got, want := c.scene.units(lamp), "free 1200 held 0 sold 0 waiting 0"; got != want || c.scene.state[lamp].Phase != sale.PhaseClosed {
			t.Errorf("after it all %s and %s, want %s", got, c.scene.state[lamp].Phase, want)
		}
	})
}

// TestAskedBeforeTheTick: 1300 wait when the sale closes, and 1200 holds end later.
// Whoever has not been come to yet is judged as if he had.
func TestAskedBeforeTheTick(t *testing.T) {
	eachWay(t, func(t *testing.T, limited bool) {
		c := newCrowd(t, "55:00", limited)
		is := func(receipt, want string) {
			t.Helper()
			if got := c.scene.standing(receipt); got != want {
				t.Errorf("%s is %q, want %q", receipt, got, want)
			}
		}
		c.ask(tick(after("60:00"), "close", sale.Close))
		is("r1200", "rejected closed at 100")
		is("r2499", "waiting at 100")
		c.ask(rename(cancel("60:00", 2500, "r2499"), "too late")) // he waits no more
		is("r2499", "rejected closed at 100")
		c.ask(pay("60:00", 2499, "r2498"))
		is("r2498", "rejected closed at 100")
		c.ask(pay("64:59", 1200, "r1199")) // holds live on
		is("r1199", "confirmed at 100 by 65:00")

		c.ask(tick(after("65:00"), "expire", sale.Expire))
		is("r2497", "waiting at 100") // 500 more of the line; the holds have their turn after it
		is("r0", "held at 100 by 65:00")
		c.ask(pay("65:00", 1, "r0"))
		is("r0", "expired at 100 by 65:00")
		c.ask(cancel("65:00", 2, "r1"))
		is("r1", "expired at 100 by 65:00")
		c.ticks("65:00", 4) // 298 wait and 1197 hold
		if got, want := c.scene.units(lamp), "free 1199 held 0 sold 1 waiting 0"; got != want {
			t.Errorf("after it all %s, want %s", got, want)
		}
	})
}

// TestSomebodyElseDoesWhatIsDue: a request that comes after 1200 holds have ended
// finds all of it done, whatever ticks have left.
func TestSomebodyElseDoesWhatIsDue(t *testing.T) {
	c := newCrowd(t, "0:00", false)
	if n := c.ask(tick(after("10:00"), "expire", sale.Expire)); n != sale.TickMost {
		t.Errorf("a tick moved %d", n)
	}
	c.ask(pay("10:00", 1200, "r1199")) // ended, and its unit has gone to the line
	if got, want := c.scene.standing("r1199"), "expired at 100 by 10:00"; got != want {
		t.Errorf("is %q, want %q", got, want)
	}
	c.ticks("10:00", 1)
}
