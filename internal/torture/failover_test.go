package torture

import (
	"fmt"
	"slices"
	"testing"

	"sluice/client"
)

// receiptIn is an ID of a partition.
func receiptIn(partition, n int) string {
	return fmt.Sprintf("01900000-0000-7%03x-8000-%012d", partition, n)
}

// failedOver is a history of a cluster in which nobody was wronged. Partition 3 changed its
// master, and what came from 5000 to 6000 may be gone: one request was lost, one told so,
// one lost and taken in again without anybody noticing. Partition 4 was planned.
func failedOver() History {
	h := sound()
	queued := func(id string) []Sighting { return []Sighting{{Receipt: id, Status: client.Queued}} }
	gone, told, again := receiptIn(3, 1), receiptIn(3, 2), receiptIn(3, 3)
	h.Requests = append(h.Requests,
		&Request{Key: "gone", Account: 11, Verb: client.VerbBid, Sale: 7, StreamMS: 5500, Answers: []string{gone, gone}, Seen: queued(gone),
			Vanished: goneText, Forgotten: string(client.CodeClosed), Lost: &Loss{Seen: 1}},
		&Request{Key: "told", Account: 11, Verb: client.VerbBid, Sale: 7, StreamMS: 5000, Answers: []string{told},
			Seen: append(queued(told), Sighting{Receipt: told, Status: client.Rejected, Reason: client.ReasonLost})},
		&Request{Key: "again", Account: 11, Verb: client.VerbBid, Sale: 7, StreamMS: 9000, Earlier: []int64{6000}, Answers: []string{again, again},
			Seen: append(queued(again), Sighting{Receipt: again, Status: client.Rejected, Reason: client.ReasonSoldOut})},
	)
	h.Changes = []Change{
		{Partitions: []int{1, 3}, FromMS: 5000, UntilMS: 6000},
		{Partitions: []int{4}, FromMS: 5000, UntilMS: 6000, Planned: true},
	}
	return h
}

func TestFailoverHistory(t *testing.T) {
	if found := CheckFailover(failedOver()); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	if rules := brokenBy(Check(failedOver())); !slices.Equal(rules, []Rule{Effects, Ends, Known, NoneLost, Remembered}) {
		t.Errorf("by the strict rules it breaks %v", rules)
	}
	if found := CheckFailover(sound()); len(found) != 0 {
		t.Errorf("nothing was lost, and %+v", found)
	}
}

// TestCheckFailoverCatches plants each loss that no failover excuses.
func TestCheckFailoverCatches(t *testing.T) {
	const gone, told, again = 6, 7, 8
	elsewhere := func(r *Request, partition int) {
		id := receiptIn(partition, 9)
		for i := range r.Answers {
			r.Answers[i] = id
		}
		for i := range r.Seen {
			r.Seen[i].Receipt = id
		}
	}
	for name, twin := range map[string]struct {
		plant func(h *History)
		want  []Rule
	}{
		"no master changed":     {func(h *History) { h.Changes = nil }, []Rule{NoneLost}},
		"in another partition":  {func(h *History) { elsewhere(h.Requests[gone], 2) }, []Rule{NoneLost}},
		"told, in another one":  {func(h *History) { elsewhere(h.Requests[told], 2) }, []Rule{NoneLost}},
		"again, in another one": {func(h *History) { elsewhere(h.Requests[again], 2) }, []Rule{NoneLost}},
		"planned":               {func(h *History) { elsewhere(h.Requests[gone], 4) }, []Rule{NoneLost}},
		"before that":           {func(h *History) { h.Requests[gone].StreamMS = 4999 }, []Rule{NoneLost}},
		"told, before that":     {func(h *History) { h.Requests[told].StreamMS = 4999 }, []Rule{NoneLost}},
		"again, before that":    {func(h *History) { h.Requests[again].Earlier[0] = 4999 }, []Rule{NoneLost}},
		"after that":            {func(h *History) { h.Requests[gone].StreamMS = 6001 }, []Rule{NoneLost}},
		"twice, once before":    {func(h *History) { h.Requests[again].Earlier = []int64{4000, 6000} }, []Rule{NoneLost}},
		"no partition at all":   {func(h *History) { elsewhere(h.Requests[gone], 0); h.Requests[gone].Answers[0] = "g" }, []Rule{NoneLost, OneReceipt}},
		"a confirmed one was lost": {func(h *History) {
			r := h.Requests[gone]
			r.Seen = append(r.Seen, Sighting{Receipt: r.Answers[0], Status: client.Confirmed, Quantity: 1})
			r.Lost.Seen = 2
		}, []Rule{Kept}},
		"one that waited was lost": {func(h *History) {
			r := h.Requests[gone]
			r.Seen = append(r.Seen, Sighting{Receipt: r.Answers[0], Status: client.Waiting, Quantity: 1})
			r.Lost.Seen = 2
		}, []Rule{Kept}},
		"a held one was told lost": {func(h *History) {
			r := h.Requests[told]
			r.Seen = slices.Insert(r.Seen, 1, Sighting{Receipt: r.Answers[0], Status: client.Held, Quantity: 1})
		}, []Rule{Forward}},
		"a rejected one was taken in again": {func(h *History) {
			r := h.Requests[again]
			r.Seen = slices.Insert(r.Seen, 0, Sighting{Receipt: r.Answers[0], Status: client.Rejected, Reason: client.ReasonSoldOut})
		}, []Rule{Kept}},
		"rejected for our fault, after it was taken in again": {func(h *History) { h.Requests[again].Seen[1].Reason = client.ReasonInternal }, []Rule{NoneLost}},
		"lost, and it had an effect": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, h.Requests[gone].Answers[0], client.Confirmed})
		}, []Rule{Effects}},
		"not known, instead of lost": {func(h *History) {
			r := h.Requests[gone]
			r.Vanished, r.Lost, r.Forgotten = "GET /v1/receipts/g: 404 unknown_receipt: There is no such receipt", nil, ""
		}, []Rule{Effects, Ends, Known}},
	} {
		h := failedOver()
		twin.plant(&h)
		if got := brokenBy(CheckFailover(h)); !slices.Equal(got, twin.want) {
			t.Errorf("%s: found %v, want %v", name, got, twin.want)
		}
	}
}

// TestTakenInTwice: that a request was lost in between is no secret where nothing may be.
func TestTakenInTwice(t *testing.T) {
	h := sound()
	h.Requests[0].Earlier = []int64{1}
	if got := brokenBy(Check(h)); !slices.Equal(got, []Rule{NoneLost}) {
		t.Errorf("found %v", got)
	}
}

// TestCheckOutages: who is not concerned is served.
func TestCheckOutages(t *testing.T) {
	outage := Outage{Partitions: []int{1, 2}, FromUS: 1000, UntilUS: 9000}
	asked := func(partition int, sent, decided int64) (all []*Request) {
		for i := range enough {
			id := receiptIn(partition, i)
			all = append(all, &Request{Sale: int64(partition), SentUS: sent, Answers: []string{id},
				Seen: []Sighting{{AtUS: sent, Receipt: id, Status: client.Queued}, {AtUS: decided, Receipt: id, Status: client.Held}}})
		}
		return all
	}
	for name, test := range map[string]struct {
		asked         []*Request
		sent, decided int
		fine          bool
	}{
		"nobody asks":            {nil, 0, 0, true},
		"all are served":         {asked(3, 2000, 3000), enough, enough, true},
		"one is":                 {append(asked(3, 2000, 9001), asked(3, 2000, 3000)[0]), enough + 1, 1, true},
		"none is":                {asked(3, 2000, 9001), enough, 0, false},
		"none of a few":          {asked(3, 2000, 9001)[1:], enough - 1, 0, true},
		"those that are away":    {asked(2, 2000, 9001), 0, 0, true},
		"those asked afterwards": {asked(3, 9500, 9900), 0, 0, true},
		"those asked before":     {asked(3, 500, 9900), 0, 0, true},
		"refused is served": {append(asked(3, 2000, 9001)[1:], &Request{Sale: 3, SentUS: 2000, AnsweredUS: 2500, Refused: string(client.CodeSoldOut)}),
			enough, 1, true},
	} {
		counted, found := CheckOutages(History{Requests: test.asked, Outages: []Outage{outage}})
		if len(counted) != 1 || counted[0].Sent != test.sent || counted[0].Decided != test.decided {
			t.Errorf("%s: counted %+v", name, counted)
		}
		if fine := len(found) == 0; fine != test.fine || !fine && found[0].Rule != SellOn {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	for receipt, want := range map[string]int{
		"": -1, "a": -1, receiptIn(0, 1): 0, receiptIn(4095, 1): 4095,
		"5f0c4f5e-2d6f-800f-9c55-9b1b0d3f3c11": 15, "5f0c4f5e-2d6f-8xyz-9c55-9b1b0d3f3c11": -1,
	} {
		if got := partitionOf(receipt); got != want {
			t.Errorf("%q: %d, want %d", receipt, got, want)
		}
	}
}
