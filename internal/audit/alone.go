package audit

import (
	"context"
	"errors"
)

// ErrUnderWay says that another audit is, in this process.
var ErrUnderWay = errors.New("another audit is under way")

// Reaches says whether Postgres answers: Alone may be given far more time than one wants to
// wait for that.
func (a *Audit) Reaches(ctx context.Context) error { return a.ledger.Ping(ctx) }

// Alone is Run, or Sale when it names one, for those who ask over HTTP: one at a time in
// this process, the rest are ErrUnderWay. So however many ask, an audit has one connection
// to Postgres and leaves the others to whoever buys and sells.
func (a *Audit) Alone(ctx context.Context, sale int64) (Report, error) {
	if !a.alone.TryLock() {
		return Report{}, ErrUnderWay
	}
	defer a.alone.Unlock()
	if sale != 0 {
		return a.Sale(ctx, sale)
	}
	return a.Run(ctx)
}
