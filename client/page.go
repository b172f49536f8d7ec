package client

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// pages is a list of the API. A page is fetched when its first item is asked for;
// an error ends the list. split takes a page apart; its cursor is "" at the end.
func pages[Page, Item any](ctx context.Context, c *Client, path string, filter url.Values, split func(*Page) ([]Item, string)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var none Item
		query := url.Values{"limit": {strconv.Itoa(c.pageSize)}}
		maps.Copy(query, filter)
		for {
			page := new(Page)
			if err := c.do(ctx, &call{method: http.MethodGet, path: path, query: query, into: page}); err != nil {
				yield(none, err)
				return
			}
			items, next := split(page)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			switch {
			case next == "":
				return
			case next == query.Get("cursor"):
				yield(none, errors.New("GET "+path+": the next page is this page"))
				return
			}
			query.Set("cursor", next)
		}
	}
}

// filter is a query that is being written. What is not set is left out.
type filter url.Values

func (f filter) word(name, value string) {
	if value != "" {
		url.Values(f).Set(name, value)
	}
}

func (f filter) number(name string, value int64) {
	if value != 0 {
		f.word(name, strconv.FormatInt(value, 10))
	}
}

func (f filter) moment(name string, value time.Time) {
	if !value.IsZero() {
		f.word(name, whole(value).Format(time.RFC3339Nano))
	}
}

// whole is t as the API takes it: what is below the millisecond is cut off.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
