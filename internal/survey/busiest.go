package survey

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	shownMost = 20 // sales at once
	// halfLife is how long ago a movement was that counts half as much as one of now.
	halfLife = time.Minute
	// A sale takes the place of another one when it is so many times as busy, and by so
	// many movements. Otherwise ten thousand quiet sales would take turns, and each that
	// was ever shown is a series that Prometheus keeps.
	busierTimes, busierBy = 2, 10
)

// busiest chooses which of the open sales are shown: those in which most has moved
// lately.
type busiest struct {
	shown []int64 // at most shownMost, in no order
	heat  map[int64]heat
	at    time.Time
}

// heat is how much has moved in a sale: in all, and lately.
type heat struct {
	moved  int64
	lately float64
}

// choose takes in how much has moved by now in each sale that is open.
func (b *busiest) choose(moved map[int64]int64, now time.Time) {
	fade := math.Exp2(-now.Sub(b.at).Seconds() / halfLife.Seconds())
	next := make(map[int64]heat, len(moved))
	for id, n := range moved {
		before := b.heat[id] // of a new one, all that moved did so lately
		next[id] = heat{n, before.lately*fade + math.Abs(float64(n-before.moved))}
	}
	b.heat, b.at = next, now
	b.shown = slices.DeleteFunc(b.shown, func(id int64) bool { _, open := next[id]; return !open })

	hotter := func(x, y int64) int { return cmp.Or(cmp.Compare(next[y].lately, next[x].lately), cmp.Compare(x, y)) }
	slices.SortFunc(b.shown, hotter)
	for i, id := range b.others(hotter) {
		if len(b.shown) < shownMost {
			b.shown = append(b.shown, id)
			continue
		}
		// The best of the others against the last of those shown, the second best against
		// the last but one, and so on.
		place := shownMost - 1 - i
		if next[id].lately <= busierTimes*next[b.shown[place]].lately+busierBy {
			break
		}
		b.shown[place] = id
	}
}

// others answers the best of those that are not shown, the hottest first.
func (b *busiest) others(hotter func(x, y int64) int) []int64 {
	best := make([]int64, 0, shownMost+1)
	for id := range b.heat {
		if len(best) == shownMost && hotter(id, best[shownMost-1]) > 0 || slices.Contains(b.shown, id) {
			continue
		}
		place, _ := slices.BinarySearchFunc(best, id, hotter)
		best = slices.Insert(best, place, id)
		best = best[:min(len(best), shownMost)]
	}
	return best
}
