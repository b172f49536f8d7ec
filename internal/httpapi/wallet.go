package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// walletBody is a page of a wallet's statement as JSON, newest entry first, and
// the balance at the time of asking.
type walletBody struct {
	Balance    int64       `json:"balance"` // points
	Entries    []entryBody `json:"entries"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

type entryBody struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`             // topup, or the verb of the request
	Amount  int64     `json:"amount"`           // points; what left the wallet is below 0
	Receipt uuid.UUID `json:"receipt,omitzero"` // of what the points moved for
}

// showWallet is GET /v1/me/wallet.
func (a *API) showWallet(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	page, err := readPage(c, listStatement, who.Account)
	if err != nil {
		return err
	}
	balance, err := a.accounts.Wallet(ctx, who.Account)
	if err != nil {
		return err
	}
	// One more than a page tells whether there is another.
	lines, err := a.accounts.Statement(ctx, who.Account, page.after.id, page.limit+1)
	if err != nil {
		return err
	}
	body := walletBody{Balance: balance, Entries: make([]entryBody, min(len(lines), page.limit))}
	for i := range body.Entries {
		l := lines[i]
		body.Entries[i] = entryBody{ID: l.ID, At: l.At.Time(), Kind: l.Kind, Amount: l.Amount, Receipt: l.Receipt}
		body.NextCursor = page.next(len(lines) > page.limit, position{id: l.ID})
	}
	return c.JSON(body)
}

// topUpBody is a top-up as JSON.
type topUpBody struct {
	TopUp   uuid.UUID `json:"topup"`
	Amount  int64     `json:"amount"`
	Balance int64     `json:"balance"` // after it, or now when it is a repeated one
	At      time.Time `json:"at"`
	Sandbox bool      `json:"sandbox"` // always true: nobody has paid for these points
}

// topUp is POST /v1/me/wallet/topups, a purchase of points in a sandbox.
func (a *API) topUp(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	if a.noTopUps {
		return &problem{code: topUpsOff}
	}
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	var amount int64
	if err := readObject(c, field{name: "amount", read: into(&amount, whole(1, sale.MaxPoints))}); err != nil {
		return err
	}
	made, err := a.accounts.TopUp(ctx, who.Account, amount, key)
	if err != nil {
		return err
	}
	replayed(c, made.Replayed)
	return c.Status(fiber.StatusCreated).JSON(topUpBody{
		TopUp: made.ID, Amount: made.Amount, Balance: made.Balance, At: inMillis(made.At), Sandbox: true,
	})
}
