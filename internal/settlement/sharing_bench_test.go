package settlement

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkHandOver: one of two consumers is told to go, under traffic. It reports
// how long a partition that changed hands had nothing applied, and how long the
// consumer took to end.
//
//	go test -run '^$' -bench HandOver -benchtime 20x ./internal/settlement
func BenchmarkHandOver(b *testing.B) {
	c := newCrew(b)
	end := c.busy()
	var pauses, stops []time.Duration
	for b.Loop() {
		b.StopTimer()
		c.resize(2)
		goes := c.members[1]
		moved, since := goes.Owned(), time.Now()
		b.StartTimer()
		c.leave(goes)
		c.even()
		b.StopTimer()
		c.must(goes.err)
		pauses, stops = append(pauses, c.pauses(moved, since)...), append(stops, goes.took)
		b.StartTimer()
	}
	end()
	c.proves()
	milliseconds(b, pauses, "pause")
	milliseconds(b, stops, "stop")
}

// BenchmarkRebalance: the crew grows or shrinks, under traffic. It reports how long
// it takes until the shares are even, and the longest pause of each partition
// meanwhile.
//
//	go test -run '^$' -bench Rebalance -benchtime 10x ./internal/settlement
func BenchmarkRebalance(b *testing.B) {
	for _, step := range []struct{ from, to int }{{1, 2}, {2, 3}, {3, 8}, {8, 1}} {
		b.Run(fmt.Sprintf("%dto%d", step.from, step.to), func(b *testing.B) {
			c := newCrew(b)
			end := c.busy()
			var all []int
			for p := range crewPartitions {
				all = append(all, p)
			}
			var pauses, times []time.Duration
			for b.Loop() {
				b.StopTimer()
				c.resize(step.from)
				b.StartTimer()
				since := c.resize(step.to)
				times = append(times, time.Since(since))
				b.StopTimer()
				pauses = append(pauses, c.pauses(all, since)...)
				b.StartTimer()
			}
			end()
			c.proves()
			milliseconds(b, times, "even")
			milliseconds(b, pauses, "pause")
		})
	}
}
