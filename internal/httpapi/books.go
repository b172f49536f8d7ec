package httpapi

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/catalog"
	"sluice/internal/receipts"
	"sluice/internal/sale"
)

// receiptsBody is a page of receipts as JSON, newest first.
type receiptsBody struct {
	Receipts   []receiptBody `json:"receipts"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// pageOfReceipts makes a page of what was found.
func pageOfReceipts(page page, found []sale.Receipt, more bool) receiptsBody {
	body := receiptsBody{Receipts: make([]receiptBody, len(found))}
	for i, r := range found {
		body.Receipts[i] = bodyOf(sale.Standing{Receipt: r, Durability: sale.InRecord})
		body.Receipts[i].PollAfterMS = 0 // nobody polls a list
		body.NextCursor = page.next(more, position{at: r.At, receipt: r.ID})
	}
	return body
}

// effective reads a status that receipts of a list can have: those with an effect,
// and those rejected that waited before. What is queued, or was rejected at once, is
// known by its own ID only.
func effective(text string) (sale.Status, string) {
	word, rule := oneOf("confirmed", "held", "waiting", "rejected", "expired", "cancelled", "refunded")(text)
	status, _ := sale.ParseStatus(word)
	return status, rule
}

// listMine is GET /v1/me/receipts.
func (a *API) listMine(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter receipts.Filter
	page, err := readPage(c, listMine, who.Account,
		param{"sale", into(&filter.Sale, whole(1, sale.MaxPoints))},
		param{"status", into(&filter.Status, effective)},
	)
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, receipts.Cursor{At: page.after.at, ID: page.after.receipt}
	found, more, err := a.receipts.List(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	return c.JSON(pageOfReceipts(page, found, more))
}

// receiptParams are the filters of a sale's receipts.
func receiptParams(f *catalog.ReceiptFilter) []param {
	return []param{
		{"status", into(&f.Status, effective)},
		{"buyer", into(&f.Buyer, whole(1, sale.MaxPoints))},
		{"from", into(&f.From, moment)},
		{"to", into(&f.To, moment)},
	}
}

// listOfSale is GET /v1/sales/{id}/receipts.
func (a *API) listOfSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	c.Vary(fiber.HeaderAccept)
	if wantsCSV(c) {
		return a.exportOfSale(ctx, c, who, id)
	}
	var filter catalog.ReceiptFilter
	page, err := readPage(c, listOfSale, id, receiptParams(&filter)...)
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, catalog.ReceiptCursor{At: page.after.at, ID: page.after.receipt}
	found, more, err := a.catalog.Receipts(ctx, seller(who), id, filter)
	if err != nil {
		return err
	}
	came, err := a.attendance(ctx, found)
	if err != nil {
		return err
	}
	body := pageOfReceipts(page, found, more)
	for i, r := range found {
		body.Receipts[i].Buyer, body.Receipts[i].Attendance = r.Buyer, came[r.ID]
	}
	return c.JSON(body)
}

// attendance answers what stores have noted of the bookings among these receipts.
func (a *API) attendance(ctx context.Context, found []sale.Receipt) (map[uuid.UUID]string, error) {
	var bookings []uuid.UUID
	for _, r := range found {
		if (r.Verb == sale.Reserve || r.Verb == sale.Pay) && r.Status == sale.Confirmed {
			bookings = append(bookings, r.ID)
		}
	}
	if bookings == nil {
		return nil, nil
	}
	return a.bookings.Attendance(ctx, bookings)
}

// summaryBody is how a sale went, as JSON.
type summaryBody struct {
	Sale       int64            `json:"sale"`
	State      sale.Shown       `json:"state"`
	Stock      stockBody        `json:"stock"`                // units
	Revenue    int64            `json:"revenue"`              // points, less what came back to buyers
	Refunded   int64            `json:"refunded"`             // points that came back to buyers
	PaidOut    bool             `json:"paid_out"`             // whether the seller has the revenue
	Receipts   map[string]int64 `json:"receipts"`             // requests to buy, by status
	Rejections map[string]int64 `json:"rejections,omitempty"` // those rejected, by reason
}

// showSummary is GET /v1/sales/{id}/summary.
func (a *API) showSummary(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	summary, err := a.catalog.Summary(ctx, seller(who), id)
	if err != nil {
		return err
	}
	body := summaryBody{
		Sale: id, State: summary.State, Stock: stockBody{Total: summary.Stock, Free: summary.Free, Held: summary.Held, Sold: summary.Sold},
		Revenue: summary.Revenue, Refunded: summary.Refunded, PaidOut: summary.PaidOut,
		Receipts: map[string]int64{sale.Confirmed.String(): 0}, Rejections: map[string]int64{},
	}
	if summary.Kind == sale.Auction {
		body.Receipts[sale.Refunded.String()] = 0
	}
	if summary.Kind == sale.Reservation || summary.Kind == sale.Event {
		body.Stock.Waiting = &summary.Waiting
	}
	for status, n := range summary.Receipts {
		body.Receipts[status.String()] = n
	}
	for reason, n := range summary.Rejections {
		body.Rejections[reason.String()] = n
	}
	return c.JSON(body)
}

// seller is in whose name who looks into the books of a sale.
func seller(who accounts.Who) int64 {
	if who.Role == accounts.Admin {
		return catalog.Anybody
	}
	return who.Account
}
