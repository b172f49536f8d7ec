package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/notices"
	"sluice/internal/sale"
)

// noticesBody is a page of notices as JSON, newest first.
type noticesBody struct {
	Notices    []noticeBody `json:"notices"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

type noticeBody struct {
	Notice  int64           `json:"notice"`
	Word    sale.NoticeWord `json:"word"`
	Sale    int64           `json:"sale"`
	Receipt uuid.UUID       `json:"receipt,omitzero"` // none of opens
	At      time.Time       `json:"at"`               // when it became true
	PayBy   time.Time       `json:"pay_by,omitzero"`  // of what is to be paid
	Read    bool            `json:"read"`
}

// listNotices is GET /v1/me/notices.
func (a *API) listNotices(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter notices.Filter
	page, err := readPage(c, listNotices, who.Account, param{"unread", into(&filter.Unread, truth)})
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, page.after.id
	found, more, err := a.notices.List(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	body := noticesBody{Notices: make([]noticeBody, len(found))}
	for i, n := range found {
		body.Notices[i] = noticeBody{Notice: n.ID, Word: n.Word, Sale: n.Sale, Receipt: n.Receipt, At: n.At.Time(), Read: n.Read}
		if n.PayBy != 0 {
			body.Notices[i].PayBy = n.PayBy.Time()
		}
		body.NextCursor = page.next(more, position{id: n.ID})
	}
	return c.JSON(body)
}

// readMost is how many notices can be named at once: as many as a page shows.
const readMost = limitMost

// noticeIDs reads the names of some notices, as they stand in a list.
func noticeIDs(raw string) (ids []int64, rule string) {
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(raw), &all); err != nil || len(all) == 0 || len(all) > readMost {
		return nil, fmt.Sprintf("must be a list of 1 to %d notices", readMost)
	}
	for _, one := range all {
		id, rule := whole(1, sale.MaxPoints)(string(one))
		if rule != "" {
			return nil, "must be notices, each of which " + rule
		}
		ids = append(ids, id)
	}
	return ids, ""
}

// readNotices is POST /v1/me/notices/read. It takes no key, since what is read
// stays read.
func (a *API) readNotices(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var ids []int64
	var all bool
	if err := readObject(c,
		field{name: "ids", read: into(&ids, noticeIDs), optional: true},
		field{name: "all", read: into(&all, truth), optional: true},
	); err != nil {
		return err
	}
	if (ids == nil) != all {
		return invalid(wholeBody, "must have ids, or all that is true")
	}
	n, err := a.notices.MarkRead(ctx, who.Account, ids)
	if err != nil {
		return err
	}
	return c.JSON(struct {
		Read int64 `json:"read"` // notices that were not read before
	}{n})
}

// watch is PUT /v1/sales/{id}/watch.
func (a *API) watch(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	return a.watching(ctx, c, who, a.notices.Watch)
}

// unwatch is DELETE /v1/sales/{id}/watch. Who does not watch has nothing to end.
func (a *API) unwatch(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	return a.watching(ctx, c, who, a.notices.Unwatch)
}

func (a *API) watching(ctx context.Context, c *fiber.Ctx, who accounts.Who, change func(ctx context.Context, account, sale int64) error) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	if err := change(ctx, who.Account, id); err != nil {
		return err
	}
	return nothing(c)
}
