package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// NoticeWord is what somebody is told.
type NoticeWord string

// The words.
const (
	NoticeHeld      NoticeWord = "held"      // pay before PayBy
	NoticePromoted  NoticeWord = "promoted"  // out of the line: held until PayBy, or confirmed
	NoticeSoon      NoticeWord = "soon"      // a hold ends soon, at PayBy
	NoticeExpired   NoticeWord = "expired"   // not paid in time
	NoticeConfirmed NoticeWord = "confirmed" // bought, claimed, joined or paid
	NoticeRefunded  NoticeWord = "refunded"  // the points are back
	NoticeClosed    NoticeWord = "closed"    // the sale closed while it waited
	NoticeOpens     NoticeWord = "opens"     // a watched sale has opened
	NoticeReminder  NoticeWord = "reminder"  // it begins in 24 hours
)

// Notice is one thing that somebody was told, once.
type Notice struct {
	ID      int64      `json:"notice"`
	Word    NoticeWord `json:"word"`
	Sale    int64      `json:"sale"`
	Receipt string     `json:"receipt,omitempty"` // ID; none of NoticeOpens
	At      time.Time  `json:"at"`                // when it became true
	PayBy   time.Time  `json:"pay_by,omitzero"`
	Read    bool       `json:"read"`
}

type noticePage struct {
	Notices []Notice `json:"notices"`
	Next    string   `json:"next_cursor"`
}

// Notices are those of the account that c speaks for, newest first.
func (c *Client) Notices(ctx context.Context, unread bool) iter.Seq2[Notice, error] {
	query := filter{}
	if unread {
		query.word("unread", "true")
	}
	return pages(ctx, c, mePath+"/notices", url.Values(query), func(p *noticePage) ([]Notice, string) { return p.Notices, p.Next })
}

// MarkRead marks notices, at most 100 at once, as read, and answers how many of them
// were not; MarkAllRead does so with all there are.
func (c *Client) MarkRead(ctx context.Context, ids ...int64) (int64, error) {
	return c.markRead(ctx, struct {
		IDs []int64 `json:"ids"`
	}{ids})
}

// MarkAllRead marks all notices as read, and answers how many were not.
func (c *Client) MarkAllRead(ctx context.Context) (int64, error) {
	return c.markRead(ctx, struct {
		All bool `json:"all"`
	}{true})
}

func (c *Client) markRead(ctx context.Context, body any) (int64, error) {
	var answer struct {
		Read int64 `json:"read"`
	}
	err := c.do(ctx, &call{method: http.MethodPost, path: mePath + "/notices/read", body: body, into: &answer})
	return answer.Read, err
}

// Watch has the buyer told when a sale opens. [CodeOpened] when it has.
func (c *Client) Watch(ctx context.Context, sale int64) error {
	return c.do(ctx, &call{method: http.MethodPut, path: salePath(sale) + "/watch"})
}

// Unwatch takes Watch back.
func (c *Client) Unwatch(ctx context.Context, sale int64) error {
	return c.do(ctx, &call{method: http.MethodDelete, path: salePath(sale) + "/watch"})
}
