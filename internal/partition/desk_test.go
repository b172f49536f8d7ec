package partition

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// counter is a desk whose questions are numbers. Each asking waits until it is let go.
type counter struct {
	desk[int]
	t     *testing.T
	asked chan []int
	let   chan bool // whether to panic
	crowd sync.WaitGroup
}

func openCounter(t *testing.T) *counter {
	c := &counter{t: t, asked: make(chan []int), let: make(chan bool)}
	c.ask = func(_ context.Context, questions []*int) {
		party := make([]int, len(questions))
		for i, q := range questions {
			party[i] = *q
		}
		c.asked <- party
		if <-c.let {
			panic("as the test wants it")
		}
		for _, q := range questions {
			*q = -*q
		}
	}
	return c
}

// come has n put, and returns when it stands in line. It answers what comes of it.
func (c *counter) come(ctx context.Context, n int) (answer chan error) {
	c.t.Helper()
	before := c.standing()
	answer = make(chan error, 1)
	c.crowd.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- errors.New("panic")
			}
		}()
		number := n
		err := c.put(ctx, &number)
		if err == nil && number != -n {
			err = errors.New("not answered")
		}
		answer <- err
	})
	c.until(func() bool { return c.standing() == before+1 })
	return answer
}

func (c *counter) standing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.line)
}

func (c *counter) until(met func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("in vain")
		}
	}
}

// busy has 1 asked, alone, and not yet answered.
func (c *counter) busy() (answer chan error) {
	c.t.Helper()
	answer = make(chan error, 1)
	c.crowd.Go(func() {
		number := 1
		answer <- c.put(context.Background(), &number)
	})
	if party := <-c.asked; !slices.Equal(party, []int{1}) {
		c.t.Fatalf("asked for %v", party)
	}
	return answer
}

func (c *counter) want(answer chan error, want error) {
	c.t.Helper()
	if err := <-answer; !errors.Is(err, want) {
		c.t.Errorf("%v, not %v", err, want)
	}
}

func (c *counter) over() {
	c.t.Helper()
	c.crowd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.desk.busy || len(c.line) > 0 {
		c.t.Errorf("busy %t, %d in line when all have gone", c.desk.busy, len(c.line))
	}
}

// TestDesk: who comes alone asks alone; a crowd that comes meanwhile asks together, in
// the order in which it came, no more than there may be at once.
func TestDesk(t *testing.T) {
	c := openCounter(t)
	answers := []chan error{c.busy()}
	for n := 2; n <= deskMost+3; n++ {
		answers = append(answers, c.come(t.Context(), n))
	}
	c.let <- false
	next := 2
	for _, most := range []int{deskMost, 2} {
		party := <-c.asked
		if len(party) != most || party[0] != next || !slices.IsSorted(party) {
			t.Errorf("asked for %v", party)
		}
		next += len(party)
		c.let <- false
	}
	for _, answer := range answers {
		c.want(answer, nil)
	}
	c.over()
}

// TestLeavingADesk: who gives up in line is not asked for; who gives up while he is asked
// for does not wait, and the others are answered.
func TestLeavingADesk(t *testing.T) {
	c := openCounter(t)
	first := c.busy()
	ctx, leave := context.WithCancel(t.Context())
	left, stays := c.come(ctx, 2), c.come(t.Context(), 3)
	leave()
	c.want(left, context.Canceled)
	ctx, leave = context.WithCancel(t.Context())
	asked := c.come(ctx, 4)
	c.let <- false
	if party := <-c.asked; !slices.Equal(party, []int{3, 4}) {
		t.Errorf("asked for %v", party)
	}
	leave()
	c.want(asked, context.Canceled)
	c.let <- false
	c.want(first, nil)
	c.want(stays, nil)
	c.over()
}

// TestLeaderWhoLeaves: who is called when he has just given up asks for the others all the
// same.
func TestLeaderWhoLeaves(t *testing.T) {
	for range 200 {
		c := openCounter(t)
		first := c.busy()
		ctx, leave := context.WithCancel(t.Context())
		leads, follows := c.come(ctx, 2), c.come(t.Context(), 3)
		go leave()
		c.let <- false
		party := <-c.asked
		if party[len(party)-1] != 3 {
			t.Errorf("asked for %v", party)
		}
		c.let <- false
		c.want(first, nil)
		c.want(follows, nil)
		if err := <-leads; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		c.over()
	}
}

// TestDeskSurvivesAPanic: it ends the request of who leads, and nobody else's.
func TestDeskSurvivesAPanic(t *testing.T) {
	c := openCounter(t)
	first := c.busy()
	leads, follows := c.come(t.Context(), 2), c.come(t.Context(), 3)
	c.let <- false
	<-c.asked
	last := c.come(t.Context(), 4)
	c.let <- true
	if err := <-leads; err == nil || err.Error() != "panic" {
		t.Errorf("%v", err)
	}
	if err := <-follows; err == nil {
		t.Error("it is said to be answered")
	}
	<-c.asked
	c.let <- false
	c.want(first, nil)
	c.want(last, nil)
	c.over()
}
