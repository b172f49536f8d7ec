package torture

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"sluice/client"
)

// A cluster whose masters die. Replication is asynchronous: what a master has taken in,
// and its replica had not when it took over, is gone. Nobody is wronged by that, if
//
//   - it was queued: what anybody was shown as decided stays what it was;
//   - the master of its partition changed, unplanned, and it was taken in between the moment
//     until which the replica is known to have had everything and the moment from which the
//     old master took in nothing any more. The witness measures both;
//   - it is answered as lost, until it is asked again, as after a Redis that forgets.
//
// A planned failover loses nothing, nor does a slot that moves, nor a master that comes
// back by itself, nor anything that happens to others.

// Change is that another node serves some partitions.
type Change struct {
	Partitions []int `json:"partitions"`
	Planned    bool  `json:"planned,omitempty"` // the old master saw to it that the new one had everything
	FromMS     int64 `json:"from_ms"`           // what was taken in before is with the new master; by the clock of the streams
	UntilMS    int64 `json:"until_ms"`          // from then on nobody else takes anything in
}

// excuses says whether a request that a partition had taken in at a time may be lost.
func (c Change) excuses(partition int, at int64) bool {
	return !c.Planned && c.FromMS <= at && at <= c.UntilMS && slices.Contains(c.Partitions, partition)
}

// Outage is that some partitions had neither master nor replica.
type Outage struct {
	Partitions    []int `json:"partitions"`
	FromUS        int64 `json:"from_us"` // by the clock of the clients; the cluster has noticed by then
	UntilUS       int64 `json:"until_us"`
	Sent, Decided int   `json:"-"` // elsewhere, meanwhile; CheckOutages counts them
}

// SellOn is the rule of partitions whose nodes live: others that are away are no concern
// of theirs.
const SellOn Rule = "sell_on"

// enough requests must have been sent elsewhere before it is a fault that none of them
// was decided.
const enough = 10

// partitionOf is the partition that a receipt's ID names; −1 when it is none.
func partitionOf(receipt string) int {
	if len(receipt) != 36 {
		return -1
	}
	n, err := strconv.ParseUint(receipt[15:18], 16, 12)
	if err != nil {
		return -1
	}
	return int(n)
}

// losses are the stream times at which r was taken in, and lost later.
func (r *Request) losses() []int64 {
	all := slices.Clone(r.Earlier)
	if r.accepted() && (answeredLost(r.Vanished) || r.last().Reason == client.ReasonLost) {
		all = append(all, r.StreamMS)
	}
	return all
}

// CheckFailover is Check for a cluster whose masters die: what was lost may be where the
// changes excuse it. It is a pure function, too.
func CheckFailover(h History) []Violation {
	_, found := checkFailover(h)
	return found
}

func checkFailover(h History) (Linear, []Violation) {
	l, found := checkForgetful(h)
	for _, r := range h.Requests {
		for _, at := range r.losses() {
			p := partitionOf(r.Answers[0])
			if !slices.ContainsFunc(h.Changes, func(c Change) bool { return c.excuses(p, at) }) {
				found = append(found, Violation{NoneLost, r.Key, r.Sale, fmt.Sprintf("%s was taken in by partition %d at %d, and lost: %s",
					r.Answers[0], p, at, h.noExcuse(p, at))})
			}
		}
	}
	return l, found
}

// noExcuse says why no change excuses a loss.
func (h History) noExcuse(partition int, at int64) string {
	text := "its master never changed"
	nearest := int64(never)
	for _, c := range h.Changes {
		if !slices.Contains(c.Partitions, partition) {
			continue
		}
		if far := max(c.FromMS-at, at-c.UntilMS, 0); far <= nearest {
			nearest = far
			text = fmt.Sprintf("the nearest change of its master took what came from %d to %d", c.FromMS, c.UntilMS)
			if c.Planned {
				text = fmt.Sprintf("the nearest change of its master, at %d, was planned", c.UntilMS)
			}
		}
	}
	return text
}

// CheckOutages finds every outage during which nobody was served elsewhere either, though
// many asked. Beside that it answers how many did, and were. It is a pure function.
func CheckOutages(h History) (counted []Outage, found []Violation) {
	home := map[int64]int{} // the partition of each sale
	for _, r := range h.Requests {
		if r.accepted() {
			home[r.Sale] = partitionOf(r.Answers[0])
		}
	}
	for _, o := range h.Outages {
		for _, r := range h.Requests {
			p, known := home[r.Sale]
			if !known || slices.Contains(o.Partitions, p) || r.SentUS < o.FromUS || r.SentUS > o.UntilUS {
				continue
			}
			o.Sent++
			if decided := r.decidedUS(); decided != 0 && decided <= o.UntilUS {
				o.Decided++
			}
		}
		counted = append(counted, o)
		if o.Sent >= enough && o.Decided == 0 {
			found = append(found, Violation{Rule: SellOn, Detail: fmt.Sprintf("while the partitions %v were away for %s, %d requests were sent to others, and none was decided",
				o.Partitions, time.Duration(o.UntilUS-o.FromUS)*time.Microsecond, o.Sent)})
		}
	}
	return counted, found
}

// decidedUS is when it was first known what became of r: a refusal, or an outcome; 0 never.
func (r *Request) decidedUS() int64 {
	if r.Refused != "" {
		return r.AnsweredUS
	}
	for _, s := range r.Seen {
		if s.Status != client.Queued {
			return s.AtUS
		}
	}
	return 0
}
