package httpapi

import (
	"bufio"
	"context"
	"encoding/csv"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/catalog"
	"sluice/internal/sale"
)

const (
	csvType = "text/csv"
	csvPage = 1000 // receipts that are in memory at a time
)

// wantsCSV says whether a request asks for CSV rather than for JSON: it names it,
// with a higher weight. A wildcard names nothing.
func wantsCSV(c *fiber.Ctx) bool {
	var comma, object float64
	for media := range strings.SplitSeq(c.Get(fiber.HeaderAccept), ",") {
		name, params, _ := strings.Cut(media, ";")
		weight := 1.0
		for param := range strings.SplitSeq(params, ";") {
			if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q="); ok {
				weight, _ = strconv.ParseFloat(value, 64) // what is no number weighs nothing
			}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case csvType:
			comma = weight
		case fiber.MIMEApplicationJSON:
			object = weight
		}
	}
	return comma > object
}

// exportColumns are the header of the receipts of a sale as CSV.
var exportColumns = []string{"receipt", "verb", "buyer", "status", "reason", "quantity", "unit_price", "discount", "amount", "coupon", "pay_by", "target", "requested_at", "attendance"}

// exportRow is a receipt as one line. What does not apply is empty.
func exportRow(r sale.Receipt, attendance string) []string {
	body := bodyOf(sale.Standing{Receipt: r})
	amount, payBy := "", ""
	if body.Amount != nil {
		amount = strconv.FormatInt(*body.Amount, 10)
	}
	if !body.PayBy.IsZero() {
		payBy = body.PayBy.Format(time.RFC3339Nano)
	}
	return []string{
		body.Receipt.String(), body.Verb, strconv.FormatInt(r.Buyer, 10), body.Status, body.Reason,
		strconv.FormatInt(body.Quantity, 10), strconv.FormatInt(body.UnitPrice, 10), strconv.FormatInt(body.Discount, 10), amount,
		named(body.Coupon), payBy, named(body.Target), body.RequestedAt.Format(time.RFC3339Nano), attendance,
	}
}

func named(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// exportOfSale is GET /v1/sales/{id}/receipts as CSV: all receipts that the filter
// chooses, written as they are read. Its pages have no cursor and no limit.
//
// Once the first is written there is no way to say that another could not be read,
// but to break the connection before the end.
func (a *API) exportOfSale(ctx context.Context, c *fiber.Ctx, who accounts.Who, id int64) error {
	var filter catalog.ReceiptFilter
	if _, err := readQuery(c, receiptParams(&filter)...); err != nil {
		return err
	}
	filter.Limit = csvPage
	read := func(ctx context.Context) (rows [][]string, more bool, err error) {
		found, more, err := a.catalog.Receipts(ctx, seller(who), id, filter)
		if err != nil {
			return nil, false, err
		}
		came, err := a.attendance(ctx, found)
		for _, r := range found {
			rows = append(rows, exportRow(r, came[r.ID]))
			filter.After = catalog.ReceiptCursor{At: r.At, ID: r.ID}
		}
		return rows, more, err
	}
	rows, more, err := read(ctx) // refused here or not at all
	if err != nil {
		return err
	}
	c.Attachment("receipts-" + strconv.FormatInt(id, 10) + ".csv")
	c.Set(fiber.HeaderContentType, csvType+"; charset=utf-8; header=present") // after it, which sets one of its own
	if c.Method() == fiber.MethodHead {
		return nil
	}
	next := func() ([][]string, bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), a.workTimeout) // the request's own is over by then
		defer cancel()
		return read(ctx)
	}
	conn, trace := c.Context().Conn(), requestID(c)
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		if err := a.export(w, conn, rows, more, next); err != nil {
			a.log.Warn().Err(err).Str("request_id", trace).Int64("sale", id).Msg("a list of receipts was cut short")
			conn.Close()
		}
	})
	return nil
}

// export writes rows and all that next has after them. That nobody takes them any
// more ends it, and is no error.
func (a *API) export(w *bufio.Writer, conn net.Conn, rows [][]string, more bool, next func() ([][]string, bool, error)) error {
	lines := csv.NewWriter(w)
	lines.UseCRLF = true // RFC 4180
	if lines.Write(exportColumns) != nil {
		return nil
	}
	for {
		if lines.WriteAll(rows) != nil || !more {
			return nil
		}
		// Each page has as long as any answer.
		if conn.SetWriteDeadline(time.Now().Add(a.writeTimeout)) != nil {
			return nil
		}
		var err error
		if rows, more, err = next(); err != nil {
			return err
		}
	}
}
