package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// param is one parameter that the query of a list may have. read answers the rule
// that its text breaks, or "".
type param struct {
	name string
	read func(text string) (rule string)
}

// readQuery reads the query, of which every part is optional, into params. It is
// as strict as readObject: a filter with a slip in its name would be a list of
// everything. All faults are answered at once.
func readQuery(c *fiber.Ctx, params ...param) (url.Values, error) {
	values, err := queryOf(c)
	if err != nil {
		return nil, err
	}
	var faults []fieldFault
	for name, texts := range values {
		i := slices.IndexFunc(params, func(p param) bool { return p.name == name })
		rule := "is not known here"
		switch {
		case i >= 0 && len(texts) > 1:
			rule = "must not be there twice"
		case i >= 0:
			rule = params[i].read(texts[0])
		}
		if rule != "" {
			faults = append(faults, fieldFault{Parameter: name, Detail: rule})
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b fieldFault) int { return strings.Compare(a.Parameter, b.Parameter) })
		return nil, &problem{code: badQuery, fields: faults[:min(len(faults), faultsMost)]}
	}
	return values, nil
}

// queryOf takes the query apart; nil when there is none.
func queryOf(c *fiber.Ctx) (url.Values, error) {
	text := string(c.Request().URI().QueryString()) // a copy
	if text == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, &problem{code: badQuery, detail: "it is not a URL query"}
	}
	return values, nil
}

// readNames reads a query that is nothing but name=…&name=…, 1 to most different
// receipts.
func readNames(c *fiber.Ctx, name string, most int) (ids []uuid.UUID, err error) {
	values, err := queryOf(c)
	if err != nil {
		return nil, err
	}
	var faults []fieldFault
	wrong := func(name, rule string) { faults = append(faults, fieldFault{Parameter: name, Detail: rule}) }
	for _, other := range slices.Sorted(maps.Keys(values)) {
		if other != name && len(faults) < faultsMost {
			wrong(other, "is not known here")
		}
	}
	if n := len(values[name]); len(faults) == 0 && (n < 1 || n > most) {
		wrong(name, fmt.Sprintf("must be there 1 to %d times", most))
	}
	for _, text := range values[name] {
		id, rule := receiptName(text)
		if rule == "" && slices.Contains(ids, id) {
			rule = "must not name one receipt twice"
		}
		if rule != "" {
			wrong(name, rule)
			break
		}
		ids = append(ids, id)
	}
	if len(faults) > 0 {
		return nil, &problem{code: badQuery, fields: faults[:min(len(faults), faultsMost)]}
	}
	return ids, nil
}

// Bounds of a page.
const (
	limitMost    = 100
	limitDefault = 20
)

// page is which part of a list is asked for.
type page struct {
	limit int
	after position // the zero position: from the start

	list  list
	asked string // whose list it is and which filters it has: a cursor fits no other
}

// readPage reads the query of a list: limit, cursor, and its filters. whose is
// what the list belongs to beyond its query: an account, a sale, or 0.
func readPage(c *fiber.Ctx, of list, whose int64, filters ...param) (page, error) {
	limit := int64(limitDefault)
	var cursor *string
	values, err := readQuery(c, append(filters,
		param{"limit", into(&limit, whole(1, limitMost))},
		param{"cursor", given(&cursor, anyText)},
	)...)
	if err != nil {
		return page{}, err
	}
	values.Del("limit") // it may change from page to page
	values.Del("cursor")
	p := page{limit: int(limit), list: of, asked: askedFor(whose, values)}
	if cursor != nil {
		after, ok := p.list.parse(*cursor, p.asked)
		if !ok {
			return page{}, &problem{code: badCursor}
		}
		p.after = after
	}
	return p, nil
}

// next is the cursor of what follows last; "" when nothing does.
func (p page) next(more bool, last position) string {
	if !more {
		return ""
	}
	return p.list.cursor(last, p.asked)
}
