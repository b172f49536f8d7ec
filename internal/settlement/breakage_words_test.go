package settlement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// book is the people, the sales and the receipts of one story, by name, and the
// words in which it is written:
//
//	name: bid a lamp 2 price 90 exact using coupon
//	name: reserve|claim|join a chair 1
//	name: change seller lamp 2
//	name: pay|cancel|refund a name
//	name: open|close|expire|payout lamp
//
// A request without a name has that of who asks.
type book struct {
	people   map[string]int64
	sales    map[string]sale.Sale
	receipts map[string]sale.Request
	asked    []string // in their order
}

func newBook() book {
	return book{people: map[string]int64{}, sales: map[string]sale.Sale{}, receipts: map[string]sale.Request{}}
}

// read answers the request that a line tells of, under a new receipt.
func (b *book) read(line string) (name string, r sale.Request, err error) {
	name, line, named := strings.Cut(strings.TrimSpace(line), ": ")
	if !named {
		name, line = "", name
	}
	words := strings.Fields(line)
	next := func() (word string) {
		if len(words) > 0 {
			word, words = words[0], words[1:]
		}
		return word
	}
	verb, known := sale.ParseVerb(next())
	if !known {
		return name, r, fmt.Errorf("%q asks nothing", line)
	}
	r.Verb = verb
	if !verb.Tick() {
		who := next()
		if r.Buyer, known = b.people[who]; !known {
			return name, r, fmt.Errorf("%q: nobody is called %q", line, who)
		}
		if name == "" {
			name = who
		}
	}
	switch what := next(); verb {
	case sale.Pay, sale.Cancel, sale.Refund:
		about, known := b.receipts[what]
		if !known {
			return name, r, fmt.Errorf("%q: no receipt is called %q", line, what)
		}
		r.Target, r.Sale = about.Receipt, about.Sale
	default:
		s, known := b.sales[what]
		if !known {
			return name, r, fmt.Errorf("%q: no sale is called %q", line, what)
		}
		r.Sale, r.Price = s.ID, s.Price.Start
		if verb != sale.Bid {
			r.Price = 0
		}
		if verb.Buys() {
			r.Quantity = 1
		}
		if name == "" {
			name = verb.String() + " " + what
		}
	}
	for len(words) > 0 {
		switch word := next(); word {
		case "exact":
			r.Exact = true
		case "price":
			r.Price, err = strconv.ParseInt(next(), 10, 64)
		case "using":
			r.Coupon = b.receipts[next()].Receipt
		default:
			r.Quantity, err = strconv.ParseInt(word, 10, 64)
		}
		if err != nil {
			return name, r, fmt.Errorf("%q: %w", line, err)
		}
	}
	r.Receipt = sale.NewReceiptID(0)
	b.receipts[name] = r
	if !slices.Contains(b.asked, name) {
		b.asked = append(b.asked, name)
	}
	return name, r, nil
}

// name answers what a receipt is called.
func (b *book) name(id uuid.UUID) string {
	for name, r := range b.receipts {
		if r.Receipt == id {
			return name
		}
	}
	return id.String()
}

// lines cuts a text.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
