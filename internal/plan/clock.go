package plan

import "math"

// clock is simulated time, in seconds, and what is due in it. What is due at the same
// moment happens in the order in which it was planned, so a run can be repeated.
type clock struct {
	now     float64
	planned int64
	due     []event // a heap
}

type event struct {
	at float64
	no int64
	do func()
}

func (a event) before(b event) bool { return a.at < b.at || a.at == b.at && a.no < b.no }

// after plans something.
func (c *clock) after(seconds float64, do func()) {
	if math.IsNaN(seconds) { // it would never be due, nor would what comes behind it
		panic("plan: a time that is no number")
	}
	c.planned++
	c.due = append(c.due, event{c.now + max(seconds, 0), c.planned, do})
	for i := len(c.due) - 1; i > 0; {
		parent := (i - 1) / 2
		if !c.due[i].before(c.due[parent]) {
			return
		}
		c.due[i], c.due[parent] = c.due[parent], c.due[i]
		i = parent
	}
}

// step lets the next thing happen, and answers false when nothing is due.
func (c *clock) step() bool {
	if len(c.due) == 0 {
		return false
	}
	first, last := c.due[0], len(c.due)-1
	c.due[0], c.due[last] = c.due[last], event{}
	c.due = c.due[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if c.due[child].before(c.due[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		c.due[i], c.due[least] = c.due[least], c.due[i]
		i = least
	}
	c.now = first.at
	first.do()
	return true
}
