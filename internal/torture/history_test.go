package torture

import (
	"slices"
	"testing"

	"sluice/client"
)

// sound is a history in which nobody was wronged: a purchase that was paid and then
// cancelled, one that waited and expired, a bid that was refunded, a rejection, a
// refusal, and a sale that grew.
func sound() History {
	saw := func(id string, statuses ...client.Status) (seen []Sighting) {
		for i, status := range statuses {
			s := Sighting{AtUS: int64(i), Receipt: id, Status: status}
			if status != client.Queued {
				s.Quantity = 2
			}
			seen = append(seen, s)
		}
		return seen
	}
	return History{
		Stock: map[int64]int64{1: 2, 2: 1},
		Requests: []*Request{
			{Key: "bought", Account: 10, Verb: client.VerbReserve, Sale: 1, Answers: []string{"a", "a"},
				Seen: saw("a", client.Queued, client.Held, client.Confirmed, client.Cancelled)},
			{Key: "waited", Account: 10, Verb: client.VerbReserve, Sale: 1, Answers: []string{"b"},
				Seen: saw("b", client.Waiting, client.Held, client.Expired)},
			{Key: "refunded", Account: 11, Verb: client.VerbBid, Sale: 2, Answers: []string{"c"},
				Seen: saw("c", client.Queued, client.Confirmed, client.Refunded)},
			{Key: "rejected", Account: 11, Verb: client.VerbBid, Sale: 2, Answers: []string{"d"},
				Seen: []Sighting{{Receipt: "d", Status: client.Queued}, {Receipt: "d", Status: client.Rejected, Reason: client.ReasonSoldOut}}},
			{Key: "refused", Account: 11, Verb: client.VerbBid, Sale: 2, Refused: string(client.CodeSoldOut)},
			{Key: "grown", Account: 1, Verb: client.VerbChange, Sale: 2, Grown: 1, Answers: []string{"e"},
				Seen: saw("e", client.Queued, client.Confirmed)},
		},
		Belongings: []Belonging{{10, "a", client.Cancelled}, {10, "b", client.Expired}, {11, "c", client.Refunded}},
	}
}

func TestSoundHistory(t *testing.T) {
	if found := Check(sound()); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

// TestCheckCatches plants each wrong in a sound history: the known-bad twins.
func TestCheckCatches(t *testing.T) {
	const bought, waited, refunded, rejected, refused = 0, 1, 2, 3, 4
	for name, twin := range map[string]struct {
		plant func(h *History)
		want  []Rule // all that it breaks
	}{
		"never answered": {func(h *History) {
			*h.Requests[refused] = Request{Key: "refused", Unanswered: "connection refused"}
		}, []Rule{Answered}},
		"refused for our fault": {func(h *History) { h.Requests[refused].Refused = string(client.CodeInternal) }, []Rule{Refusals}},
		"refused with nothing":  {func(h *History) { h.Requests[refused].Refused = "" }, []Rule{Refusals}},
		"queued for ever": {func(h *History) {
			h.Requests[rejected].Seen = h.Requests[rejected].Seen[:1]
			h.Belongings = append(h.Belongings, Belonging{11, "d", client.Queued})
		}, []Rule{Ends}},
		"held for ever": {func(h *History) {
			h.Requests[waited].Seen = h.Requests[waited].Seen[:2]
			h.Belongings[1].Status = client.Held
		}, []Rule{Ends}},
		"accepted and never seen": {func(h *History) { h.Requests[rejected].Seen = nil }, []Rule{Ends}},
		"receipt vanished":        {func(h *History) { h.Requests[bought].Vanished = "404 unknown_receipt" }, []Rule{Known}},
		"lost": {func(h *History) {
			h.Requests[rejected].Seen[1].Reason = client.ReasonLost
		}, []Rule{NoneLost}},
		"rejected for our fault": {func(h *History) {
			h.Requests[rejected].Seen[1].Reason = client.ReasonInternal
		}, []Rule{NoneLost}},
		"two receipts for one key": {func(h *History) { h.Requests[bought].Answers[1] = "z" }, []Rule{OneReceipt}},
		"one receipt for two keys": {func(h *History) {
			h.Requests = append(h.Requests, &Request{Key: "other", Account: 11, Verb: client.VerbBid, Sale: 2,
				Answers: []string{"d"}, Seen: h.Requests[rejected].Seen})
		}, []Rule{OneReceipt}},
		"key forgotten": {func(h *History) { h.Requests[bought].Forgotten = string(client.CodeClosed) }, []Rule{Remembered}},
		"outcome taken back": {func(h *History) {
			seen := h.Requests[waited].Seen
			h.Requests[waited].Seen = append(seen, Sighting{Receipt: "b", Status: client.Confirmed})
			h.Belongings[1].Status = client.Confirmed
		}, []Rule{Kept}},
		"rejection taken back": {func(h *History) {
			h.Requests[rejected].Seen = append(h.Requests[rejected].Seen, Sighting{Receipt: "d", Status: client.Confirmed})
			h.Belongings = append(h.Belongings, Belonging{11, "d", client.Confirmed})
		}, []Rule{Kept}},
		"another price": {func(h *History) {
			seen := h.Requests[refunded].Seen
			dearer := seen[2]
			dearer.Amount++
			h.Requests[refunded].Seen = append(seen, dearer)
		}, []Rule{Kept}},
		"back to queued": {func(h *History) {
			seen := h.Requests[bought].Seen
			h.Requests[bought].Seen = slices.Insert(seen, 2, Sighting{Receipt: "a", Status: client.Queued})
		}, []Rule{Forward}},
		"back to the line": {func(h *History) {
			seen := h.Requests[waited].Seen
			h.Requests[waited].Seen = slices.Insert(seen, 2, seen[0])
		}, []Rule{Forward}},
		"oversold": {func(h *History) { h.Stock[2] = 0 }, []Rule{Unsold}},
		"oversold by a hold of another": {func(h *History) {
			for _, id := range []string{"x", "y"} {
				h.Requests = append(h.Requests, &Request{Key: id, Account: 11, Verb: client.VerbReserve, Sale: 1,
					Answers: []string{id}, Seen: []Sighting{{Receipt: id, Status: client.Confirmed, Quantity: 2}}})
				h.Belongings = append(h.Belongings, Belonging{11, id, client.Confirmed})
			}
		}, []Rule{Unsold}},
		"an effect that nobody asked for": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, "ghost", client.Confirmed})
		}, []Rule{Effects}},
		"an effect of a refused key": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, "f", client.Confirmed})
		}, []Rule{Effects}},
		"an effect that is gone":     {func(h *History) { h.Belongings = h.Belongings[1:] }, []Rule{Effects}},
		"another status in the list": {func(h *History) { h.Belongings[0].Status = client.Confirmed }, []Rule{Effects}},
		"in another's list":          {func(h *History) { h.Belongings[0].Account = 11 }, []Rule{Effects}},
	} {
		h := sound()
		twin.plant(&h)
		var rules []Rule
		for _, v := range Check(h) {
			rules = append(rules, v.Rule)
		}
		if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(rules))), twin.want) {
			t.Errorf("%s: found %v, want %v", name, rules, twin.want)
		}
	}
}

// TestForwardIsTheDomain: what may follow is the transitive closure of the picture in
// the domain, step by step.
func TestForwardIsTheDomain(t *testing.T) {
	steps := map[client.Status][]client.Status{
		client.Queued:    {client.Confirmed, client.Held, client.Waiting, client.Rejected},
		client.Held:      {client.Confirmed, client.Expired, client.Cancelled},
		client.Waiting:   {client.Held, client.Confirmed, client.Cancelled, client.Rejected},
		client.Confirmed: {client.Refunded, client.Cancelled},
	}
	var reach func(from client.Status, seen map[client.Status]bool)
	reach = func(from client.Status, seen map[client.Status]bool) {
		for _, to := range steps[from] {
			if !seen[to] {
				seen[to] = true
				reach(to, seen)
			}
		}
	}
	all := []client.Status{client.Queued, client.Confirmed, client.Held, client.Waiting, client.Rejected, client.Expired, client.Cancelled, client.Refunded}
	for _, from := range all {
		want := map[client.Status]bool{}
		reach(from, want)
		for _, to := range all {
			if got := slices.Contains(after[from], to); got != want[to] {
				t.Errorf("%s → %s: %t, want %t", from, to, got, want[to])
			}
		}
	}
}
