package torture

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Whether one order explains everything: a sale is linearizable when its accepted
// requests can be put in one order, which a single clerk who follows the rules could
// have gone through with just those answers, and in which no request comes before
// another that was answered before it was sent. Porcupine looks for that order, sale
// by sale; the clerk is a model of its own, in linear_model.go and linear_rules.go,
// which shares nothing with the program but the words.
//
// Which came first is said by the clients' own clock, one for all of them: a request
// is decided somewhere between being sent and being answered with its receipt, since
// from then on its place in the stream is fixed. The stream time that a receipt names
// narrows the search, for the order must also be that of these times; in one
// millisecond any is tried. It also makes the model exact where time decides: a price,
// an opening, a close, the end of a hold.
//
// The slots of a store are judged together, since a change of slot is about two.
//
// Judged: every outcome, with its reason, unit price, amount and pay_by; the limit of
// a buyer; stock, its growth, a later close; the waiting line with who may pass whom,
// and that a hold from the line begins with what freed its units; late payments;
// cancels; changes of slot; refunds, of which there is one; that nothing was shown to
// anybody before the request that it depends on was sent; and that who was refused at
// the door, since all is sold or the sale is closed, was told what was true at some
// time after the last growth or extension of which he could know.
//
// Taken as it was seen, since it hangs on more than one sale: that points were short,
// or a coupon not usable, where the rules ask after them at all; a coupon that is
// usable takes off what it is worth. Not judged: how late something is shown (an old
// state is no fault), nor what is not known well enough, which is counted.
//
// A request of which nobody knows whether it was done may have been done or not: one
// that ended without an answer, at any time since it was sent; one whose receipt
// vanished, at the time that it named. One that was lost, or failed for our own faults,
// is none.

// Bounds of the search.
const (
	searchOne  = 3 * time.Second  // for one sale, in one way
	searchAll  = 30 * time.Second // for all; what is left then is undecided
	searchMost = 1500             // requests of one sale: as many states of as many bookings are kept
)

// Linear is how far the order of requests was judged.
type Linear struct {
	Sales     int   `json:"sales"`     // judged, and in order or not
	Requests  int   `json:"requests"`  // of these
	Most      int   `json:"most"`      // requests of one sale
	Undecided int   `json:"undecided"` // sales for which the search found no end
	LeftOut   int   `json:"left_out"`  // sales that the model does not know
	Ignored   int   `json:"ignored"`   // accepted requests of those
	TookMS    int64 `json:"took_ms"`
}

func (l Linear) String() string {
	return fmt.Sprintf("%d sales with %d requests judged (at most %d), %d undecided, %d left out with %d requests, in %d ms",
		l.Sales, l.Requests, l.Most, l.Undecided, l.LeftOut, l.Ignored, l.TookMS)
}

// linearize judges every sale of h.
func linearize(h History) (l Linear, found []Violation) {
	began := time.Now()
	for _, c := range courses(h) {
		if c.unknown != "" {
			l.LeftOut += len(c.sales)
			l.Ignored += len(c.asked)
			continue
		}
		timeout := min(searchOne, searchAll-time.Since(began))
		switch c.search(timeout) {
		case porcupine.Unknown:
			l.Undecided += len(c.sales)
			continue
		case porcupine.Illegal:
			found = append(found, c.explain())
		}
		l.Sales += len(c.sales)
		l.Requests += len(c.asked)
		l.Most = max(l.Most, len(c.asked))
	}
	l.TookMS = time.Since(began).Milliseconds()
	return l, found
}

// search looks for an order. Requests of one millisecond are first tried in the one
// order that is likely, then in all. Where one request may have been done at any time,
// that none is found proves nothing, since not every time was tried.
func (c *course) search(timeout time.Duration) porcupine.CheckResult {
	if timeout <= 0 || len(c.asked) > searchMost {
		return porcupine.Unknown
	}
	likely := *c // a search that runs out of time goes on for a moment: it must not see the next one's rule
	likely.strict = true
	result := porcupine.CheckOperationsTimeout(likely.model(), likely.operations(), timeout)
	if result == porcupine.Ok {
		return result
	}
	result = porcupine.CheckOperationsTimeout(c.model(), c.operations(), timeout)
	if result == porcupine.Illegal && c.timeless > 0 {
		return porcupine.Unknown
	}
	return result
}

// model is c as porcupine hears it.
func (c *course) model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{c.begin()} },
		Step: func(state, input, _ any) (next []any) {
			stands, _ := c.step(state.(*stand), input.(*asking))
			for _, s := range stands {
				next = append(next, s)
			}
			return next
		},
		Equal:             func(a, b any) bool { return a.(*stand).equal(b.(*stand)) },
		DescribeOperation: func(input, _ any) string { return input.(*asking).String() },
		DescribeState:     func(state any) string { return state.(*stand).String() },
	}
	return m.ToModel()
}

// operations are the requests with the times between which each was decided, and the
// end, when all that was shown must have come true.
func (c *course) operations() []porcupine.Operation {
	var end int64
	for _, a := range c.asked {
		end = max(end, a.sent, a.answered)
	}
	for _, r := range c.refused {
		end = max(end, r.answered)
	}
	for _, s := range c.shown {
		end = max(end, s.AtUS)
	}
	var all []porcupine.Operation
	for _, a := range c.asked {
		all = append(all, porcupine.Operation{
			ClientId: int(a.account), Input: a, Call: a.sent, Output: a.seen, Return: cmp.Or(a.answered, end),
		})
	}
	return append(all, porcupine.Operation{Input: &asking{sent: end + 1, end: true}, Call: end + 1, Return: end + 2})
}

// longest answers the longest order that was found, as far as it goes.
func (c *course) longest() (order []*asking, info porcupine.LinearizationInfo) {
	_, info = porcupine.CheckOperationsVerbose(c.model(), c.operations(), searchOne)
	for _, found := range info.PartialLinearizationsOperations()[0] {
		if len(found) <= len(order) {
			continue
		}
		order = order[:0]
		for _, o := range found {
			order = append(order, o.Input.(*asking))
		}
	}
	return order, info
}

// explain says at which request the longest order ends, and why.
func (c *course) explain() Violation {
	order, _ := c.longest()
	s := c.begin()
	done := map[*asking]bool{}
	for _, a := range order {
		next, _ := c.step(s, a)
		if len(next) == 0 {
			break
		}
		s, done[a] = next[len(next)-1], true
	}
	rest := slices.DeleteFunc(c.operations(), func(o porcupine.Operation) bool { return done[o.Input.(*asking)] })
	var by int64 = never // one of the rest must have been decided until then
	for _, o := range rest {
		by = min(by, o.Return)
	}
	var found snag
	for _, o := range rest {
		a := o.Input.(*asking)
		if next, why := c.step(s, a); len(next) == 0 && o.Call <= by && (found.of == nil || s.mayBeNext(a)) {
			found = why
			if s.mayBeNext(a) {
				break
			}
		}
	}
	if found.of == nil {
		return Violation{Linearizable, "", c.sales[0], fmt.Sprintf("no order explains what was shown of its %d requests", len(c.asked))}
	}
	return Violation{Linearizable, found.of.key, found.of.sale, fmt.Sprintf("no order explains what was shown; after %d of %d requests, with %s; %s: %s",
		len(done), len(c.asked), s.counter(found.of.which), found.of, found.text)}
}

// Picture draws each sale of h that is not linearizable into a folder, for a person to
// see in a browser.
func Picture(h History, folder string) error {
	for _, c := range courses(h) {
		if c.unknown != "" || c.search(searchOne) != porcupine.Illegal {
			continue
		}
		_, info := c.longest()
		if err := porcupine.VisualizePath(c.model(), info, filepath.Join(folder, fmt.Sprintf("sale-%d.html", c.sales[0]))); err != nil {
			return fmt.Errorf("draw sale %d: %w", c.sales[0], err)
		}
	}
	return nil
}
