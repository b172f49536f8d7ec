package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// EntryKind says why points moved.
type EntryKind string

// The kinds of entries.
const (
	EntryTopUp   EntryKind = "topup"
	EntryBid     EntryKind = "bid"
	EntryReserve EntryKind = "reserve" // of a slot, which is paid at once, or given back for another one
	EntryJoin    EntryKind = "join"
	EntryPay     EntryKind = "pay"
	EntryCancel  EntryKind = "cancel"
	EntryRefund  EntryKind = "refund"
	EntryPayout  EntryKind = "payout"
)

// Entry is one line of a wallet's statement.
type Entry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Kind    EntryKind `json:"kind"`
	Amount  int64     `json:"amount"`            // points; negative: they left
	Receipt string    `json:"receipt,omitempty"` // ID of the request that moved them, if one did
}

// TopUp is points bought. Nobody pays for them: Sluice sells in a sandbox.
type TopUp struct {
	ID      string    `json:"topup"`
	Amount  int64     `json:"amount"`
	Balance int64     `json:"balance"` // after it
	At      time.Time `json:"at"`
	Sandbox bool      `json:"sandbox"` // true
}

const walletPath = mePath + "/wallet"

type walletPage struct {
	Balance int64   `json:"balance"`
	Entries []Entry `json:"entries"`
	Next    string  `json:"next_cursor"`
}

// Balance answers the points of the account that c speaks for.
func (c *Client) Balance(ctx context.Context) (int64, error) {
	var page walletPage
	err := c.do(ctx, &call{method: http.MethodGet, path: walletPath, query: url.Values{"limit": {"1"}}, into: &page})
	return page.Balance, err
}

// Statement is every movement of the account's points, newest first.
func (c *Client) Statement(ctx context.Context) iter.Seq2[Entry, error] {
	return pages(ctx, c, walletPath, nil, func(p *walletPage) ([]Entry, string) { return p.Entries, p.Next })
}

// TopUp adds points to the wallet, in the sandbox: nothing is paid for them.
func (c *Client) TopUp(ctx context.Context, amount int64, options ...CallOption) (t TopUp, err error) {
	body := struct {
		Amount int64 `json:"amount"`
	}{amount}
	err = c.do(ctx, &call{method: http.MethodPost, path: walletPath + "/topups", body: body, into: &t}, options...)
	return t, err
}
