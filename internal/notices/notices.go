// Package notices is what people are told: that a hold is theirs and ends soon, that
// the line has come to them, that points are back, that a sale opens or a table
// waits for them tomorrow.
//
// A notice is written where it becomes true, in the same transaction: by the
// settlement (sale.Batch.Notices), or by the scheduler, which looks for what only
// time brings about. Here it is read. Whoever has switched notices off is told none.
package notices

import (
	"context"

	"sluice/internal/ledger"
)

// ErrOpened says that there is no opening to wait for.
var ErrOpened = ledger.ErrOpened

// Notices shows them. Its methods may be called concurrently.
type Notices struct{ ledger *ledger.Ledger }

// New answers the notices of a ledger.
func New(ledger *ledger.Ledger) *Notices { return &Notices{ledger} }

// Notice is one that somebody was told.
type Notice = ledger.Notice

// Filter says which notices are listed.
type Filter struct {
	Unread bool  // only those that are not read
	After  int64 // behind the notice with that ID; 0: from the newest on
	Limit  int
}

// List answers a page of what an account was told, the newest first, and whether
// there is more.
func (n *Notices) List(ctx context.Context, account int64, f Filter) (notices []Notice, more bool, err error) {
	return n.ledger.Notices(ctx, ledger.NoticeFilter{Account: account, Unread: f.Unread, After: f.After, Limit: f.Limit})
}

// MarkRead marks those of an account's own notices as read that have these IDs; nil
// means all. It answers how many were not yet.
func (n *Notices) MarkRead(ctx context.Context, account int64, ids []int64) (int64, error) {
	return n.ledger.MarkRead(ctx, account, ids)
}

// Watch notes that an account wants to know when a sale opens. To say it twice is to
// say it once. ErrOpened when it is open already, sale.ErrUnknown.
func (n *Notices) Watch(ctx context.Context, account, saleID int64) error {
	return n.ledger.Watch(ctx, account, saleID)
}

// Unwatch takes that back. Who watches nothing has nothing to take back.
// sale.ErrUnknown.
func (n *Notices) Unwatch(ctx context.Context, account, saleID int64) error {
	if _, err := n.ledger.Find(ctx, saleID); err != nil {
		return err
	}
	return n.ledger.Unwatch(ctx, account, saleID)
}
