package accounts

import (
	"context"

	"sluice/internal/ledger"
)

// ErrTooMuch says that a top-up would take a wallet, or all wallets together, past
// what points can be counted to.
var ErrTooMuch = ledger.ErrTooMuch

// TopUp is points bought in the sandbox: nobody has paid for them.
type TopUp = ledger.TopUp

// Line is one line of a statement.
type Line = ledger.Line

// Wallet answers an account's balance, or sale.ErrUnknown.
func (a *Accounts) Wallet(ctx context.Context, account int64) (balance int64, err error) {
	return a.ledger.Points(ctx, account)
}

// TopUp buys amount points for an account, once per key; "" is no key. Errors as in
// ledger.TopUp: a *sale.Refusal (idempotency_mismatch) when the key bought another
// amount before, sale.ErrUnknown, ErrTooMuch, sale.Faults.
func (a *Accounts) TopUp(ctx context.Context, account, amount int64, key string) (TopUp, error) {
	return a.ledger.TopUp(ctx, account, amount, key)
}

// Statement answers up to limit lines of an account's wallet, the newest first:
// those before the line with that ID, or from the newest on when before is 0.
func (a *Accounts) Statement(ctx context.Context, account, before int64, limit int) ([]Line, error) {
	return a.ledger.Cold().Statement(ctx, account, before, limit)
}
