package partition

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// linked is a link to so many servers of a cluster, none of which is there: who asks them
// must not need them.
func linked(servers int) (*link, map[string][]int) {
	l, of := &link{conns: &conns{nodes: map[string]*node{}}}, map[string][]int{}
	for p := range servers {
		addr := strconv.Itoa(p)
		l.conns.nodes[addr], of[addr] = &node{}, []int{p}
	}
	return l, of
}

// TestWhoHasAnsweredIsHeard: all have answered before anybody looks, time and again, and
// nobody is taken for late.
func TestWhoHasAnsweredIsHeard(t *testing.T) {
	l, of := linked(3)
	for range 10_000 {
		for _, a := range eachOf(t.Context(), l, of, time.Hour, func(_ context.Context, _ *redis.Client, partitions []int) (int, error) {
			return partitions[0], nil
		}) {
			if a.err != nil || strconv.Itoa(a.value) != a.addr {
				t.Fatalf("%s has answered, and is told as %d, %v", a.addr, a.value, a.err)
			}
		}
	}
}

// TestWhoIsLateIsLeft: nobody waits for him.
func TestWhoIsLateIsLeft(t *testing.T) {
	l, of := linked(1)
	hangs := make(chan struct{})
	defer close(hangs)
	for _, a := range eachOf(t.Context(), l, of, time.Millisecond, func(context.Context, *redis.Client, []int) (int, error) {
		<-hangs
		return 0, nil
	}) {
		if !errors.Is(a.err, errAway) {
			t.Errorf("%s is told as %d, %v", a.addr, a.value, a.err)
		}
	}
}
