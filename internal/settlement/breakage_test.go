package settlement

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// This file is the matrix. What it is made of:
//
//	effects_test.go            every effect on a server, and the stories it is broken in
//	breakage_stories_test.go   the stories: an owner who settles, one who finds an older Redis, an empty one, …
//	breakage_cell_test.go      one case: who plays, what is asked, who goes on when somebody is dead or fenced
//	breakage_drivers_test.go   breaking what goes to Redis, and how a process dies
//	breakage_wire_test.go      breaking what goes to Postgres, on the wire
//	breakage_jury_test.go      the one checker
//	breakage_words_test.go     the words in which requests are written

const (
	// cellsMost is how many cells share a house: an audit looks at all that ever
	// happened in it.
	cellsMost = 24
	// Most of a cell is waiting for servers.
	cellsAtOnce = 4
)

// TestBreakage breaks every effect in every manner once, in every story where that
// makes a difference. Whoever is left goes on, and everything must have come out as
// if nothing had broken.
func TestBreakage(t *testing.T) {
	type task struct {
		story string
		b     breaks
	}
	tasks := make(chan task)
	go func() {
		defer close(tasks)
		for _, e := range effects {
			for _, story := range e.story {
				for _, m := range manners {
					for nth := 1; nth <= e.many(story); nth++ {
						if m != stalls || !e.along && !e.shared {
							tasks <- task{story, breaks{effect: e.name, nth: nth, manner: m}}
						}
					}
				}
			}
		}
	}()
	var cells atomic.Int64
	var workers sync.WaitGroup
	for range cellsAtOnce {
		workers.Go(func() {
			var h *house
			lived := 0
			for task := range tasks {
				name := fmt.Sprintf("%s/%s %d/%s", task.story, task.b.effect, task.b.nth, task.b.manner)
				t.Run(name, func(sub *testing.T) {
					if lived%cellsMost == 0 {
						h = newHouse(t)
					}
					lived++
					cells.Add(1)
					found := h.lent(sub, func() []finding { return h.cell(task.story, &task.b).live() })
					for _, f := range found {
						sub.Error(f)
						lived = 0 // what is broken there must not be laid to the next
					}
				})
			}
		})
	}
	workers.Wait()
	t.Logf("%d cells", cells.Load())
}

// lent gives the house to a test within the one that built it.
func (h *house) lent(t *testing.T, do func() []finding) []finding {
	builder := h.t
	h.t = t
	defer func() { h.t = builder }()
	return do()
}
