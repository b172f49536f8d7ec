package torture

import (
	"slices"
	"testing"

	"sluice/client"
)

const goneText = "GET /v1/receipts/x: 410 lost: There is no such receipt (request r-1)"

// forgotten is a history with a Redis that forgot, in which nobody was wronged: what
// was lost was queued, stayed lost, was refused when it was asked again, or taken in
// and decided; one request was rejected as lost, and one won whose answer never arrived,
// and was refused when it was sent again.
func forgotten() History {
	h := sound()
	queued := func(id string) []Sighting { return []Sighting{{Receipt: id, Status: client.Queued}} }
	h.Requests = append(h.Requests,
		&Request{Key: "gone", Account: 11, Verb: client.VerbBid, Sale: 2, Answers: []string{"g", "g"}, Seen: queued("g"),
			Vanished: goneText, Forgotten: string(client.CodeClosed), Lost: &Loss{Seen: 1}},
		&Request{Key: "anew", Account: 11, Verb: client.VerbBid, Sale: 2, Answers: []string{"h", "h"}, Forgotten: string(client.CodeClosed),
			Seen: append(queued("h"), Sighting{Receipt: "h", Status: client.Rejected, Reason: client.ReasonSoldOut}), Lost: &Loss{Seen: 1, Anew: true}},
		&Request{Key: "unheard", Account: 11, Verb: client.VerbBid, Sale: 2, Refused: string(client.CodeSoldOut), Doubtful: true},
		&Request{Key: "told", Account: 11, Verb: client.VerbBid, Sale: 2, Answers: []string{"i"},
			Seen: append(queued("i"), Sighting{Receipt: "i", Status: client.Rejected, Reason: client.ReasonLost})},
	)
	h.Belongings = append(h.Belongings, Belonging{11, "k", client.Confirmed})
	return h
}

// TestForgetfulHistory: what a forgetful Redis may do is right there, and wrong where
// Redis keeps everything.
func TestForgetfulHistory(t *testing.T) {
	if found := CheckForgetful(forgotten()); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	rules := brokenBy(Check(forgotten()))
	if !slices.Equal(rules, []Rule{Effects, Ends, Known, NoneLost, Remembered}) {
		t.Errorf("by the strict rules it breaks %v", rules)
	}
	if found := CheckForgetful(sound()); len(found) != 0 {
		t.Errorf("nothing was lost, and %+v", found)
	}
}

func brokenBy(found []Violation) (rules []Rule) {
	for _, v := range found {
		rules = append(rules, v.Rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

// TestCheckForgetfulCatches plants each wrong that a forgetful Redis does not excuse.
func TestCheckForgetfulCatches(t *testing.T) {
	const bought, rejected, gone, anew, unheard, told = 0, 3, 6, 7, 8, 9
	for name, twin := range map[string]struct {
		plant func(h *History)
		want  []Rule // all that it breaks
	}{
		"a confirmed one was lost": {func(h *History) {
			r := h.Requests[gone]
			r.Seen = append(r.Seen, Sighting{Receipt: "g", Status: client.Confirmed, Quantity: 1})
			r.Lost.Seen = 2
		}, []Rule{Kept}},
		"a rejected one was lost": {func(h *History) {
			r := h.Requests[gone]
			r.Seen = append(r.Seen, Sighting{Receipt: "g", Status: client.Rejected, Reason: client.ReasonSoldOut})
			r.Lost.Seen = 2
		}, []Rule{Kept}},
		"one that was decided, lost, asked again, and decided otherwise": {func(h *History) {
			r := h.Requests[anew]
			r.Seen = []Sighting{{Receipt: "h", Status: client.Rejected, Reason: client.ReasonOverLimit}, {Receipt: "h", Status: client.Rejected, Reason: client.ReasonSoldOut}}
		}, []Rule{Kept}},
		"lost when all was over": {func(h *History) { h.Requests[rejected].Vanished = goneText }, []Rule{Known}},
		"not known, instead of lost": {func(h *History) {
			r := h.Requests[gone]
			r.Vanished, r.Lost, r.Forgotten = "GET /v1/receipts/g: 404 unknown_receipt: There is no such receipt", nil, ""
		}, []Rule{Effects, Ends, Known}},
		"not known any more, after it was lost": {func(h *History) {
			h.Requests[gone].Lost.Found = "404 unknown_receipt"
		}, []Rule{Again}},
		"not known any more, after it was refused anew": {func(h *History) {
			h.Requests[gone].Vanished = "GET /v1/receipts/g: 404 unknown_receipt: There is no such receipt"
		}, []Rule{Effects, Ends, Known}},
		"found again though nobody asked again": {func(h *History) { h.Requests[anew].Lost.Found = "confirmed" }, []Rule{Again}},
		"queued for ever": {func(h *History) {
			h.Requests[gone].Lost, h.Requests[gone].Vanished, h.Requests[gone].Forgotten = nil, "", ""
		}, []Rule{Effects, Ends}},
		"asked again, and queued for ever":     {func(h *History) { h.Requests[anew].Seen = h.Requests[anew].Seen[:1] }, []Rule{Effects, Ends}},
		"asked again, taken in and lost again": {func(h *History) { h.Requests[anew].Vanished = goneText }, []Rule{Known}},
		"asked again, refused for our fault":   {func(h *History) { h.Requests[gone].Forgotten = string(client.CodeInternal) }, []Rule{Refusals}},
		"asked again, under another receipt":   {func(h *History) { h.Requests[anew].Answers[1] = "z" }, []Rule{OneReceipt}},
		"lost under two receipts":              {func(h *History) { h.Requests[gone].Answers[1] = "z" }, []Rule{OneReceipt}},
		"lost, and it had an effect": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, "g", client.Confirmed})
		}, []Rule{Effects}},
		"told lost, and it had an effect": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, "i", client.Confirmed})
		}, []Rule{Effects}},
		"it has what it never asked for": {func(h *History) {
			h.Belongings = append(h.Belongings, Belonging{11, "l", client.Confirmed})
		}, []Rule{Effects}},
		"it has what another asked for": {func(h *History) { h.Requests[unheard].Account = 12 }, []Rule{Effects}},
		"it has what it was refused":    {func(h *History) { h.Requests[unheard].Doubtful = false }, []Rule{Effects}},
		"rejected for our fault":        {func(h *History) { h.Requests[told].Seen[1].Reason = client.ReasonInternal }, []Rule{NoneLost}},
		"oversold by what was asked again": {func(h *History) {
			h.Requests[anew].Seen[1] = Sighting{Receipt: "h", Status: client.Confirmed, Quantity: 2}
			h.Belongings = append(h.Belongings, Belonging{11, "h", client.Confirmed})
		}, []Rule{Unsold}},
		"key forgotten, of one that was not lost": {func(h *History) { h.Requests[bought].Forgotten = string(client.CodeClosed) }, []Rule{Remembered}},
	} {
		h := forgotten()
		twin.plant(&h)
		if got := brokenBy(CheckForgetful(h)); !slices.Equal(got, twin.want) {
			t.Errorf("%s: found %v, want %v", name, got, twin.want)
		}
	}
}

// TestAnsweredLost: it is told by what the client says of a lost receipt.
func TestAnsweredLost(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, goneText: true,
		"GET /v1/receipts/x: 404 unknown_receipt: There is no such receipt":                                          false,
		"GET /v1/receipts/x: " + (&client.Problem{Status: 410, Code: client.CodeLost, Title: "It was lost"}).Error(): true,
	} {
		if answeredLost(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}
