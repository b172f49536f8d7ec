package httpapi

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// route is one row of the API: who may ask, and who answers.
type route struct {
	method, pattern string
	who             access
	use             use
	unknown         code // what sale.ErrUnknown means here
	answer          func(context.Context, *fiber.Ctx, accounts.Who) error
}

// access says who may ask a route.
type access struct {
	token need
	roles []accounts.Role // empty: every role
}

// need says what a route does with the token of who asks.
type need int

const (
	required need = iota
	optional      // there may be none; but a bad one is refused, not overlooked
	ignored       // not even read: who renews his session may send the token that has expired
)

var (
	signedIn = access{}
	public   = access{token: optional}
	anybody  = access{token: ignored}
	buyers   = access{roles: []accounts.Role{accounts.Buyer}}
	sellers  = access{roles: []accounts.Role{accounts.Seller}}
	admins   = access{roles: []accounts.Role{accounts.Admin}}
	owners   = access{roles: []accounts.Role{accounts.Seller, accounts.Admin}} // a sale's seller, and every admin
)

// use says how a route is used.
type use int

const (
	plain  use = iota
	hot        // by every buyer, again and again: of its log lines a few are written
	paged      // its answer reads the query
	polled     // hot, and reads the query; every other route refuses one
)

func (a *API) routes() []route {
	const (
		get, post, put, patch, del = fiber.MethodGet, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodDelete

		oneSale    = salesPath + ":id"
		oneReceipt = receiptsPath + ":id"
		oneStore   = storesPath + ":id"
		oneLetter  = operationsPath + "/dead-letters/:id"
	)
	return []route{
		{post, "/v1/auth/signup", anybody, plain, "", a.signUp},
		{post, "/v1/auth/signin", anybody, plain, "", a.signIn},
		{post, "/v1/auth/refresh", anybody, plain, "", a.refresh},
		{post, "/v1/auth/signout", anybody, plain, "", a.signOut},

		// An account that is not there any more still has tokens for some minutes.
		{get, mePath, signedIn, plain, tokenInvalid, a.showMe},
		{patch, mePath, signedIn, plain, tokenInvalid, a.changeMe},
		{del, mePath, signedIn, plain, tokenInvalid, a.deleteMe},
		{get, mePath + "/wallet", signedIn, paged, tokenInvalid, a.showWallet},
		{post, mePath + "/wallet/topups", signedIn, plain, tokenInvalid, a.topUp},
		{get, mePath + "/receipts", signedIn, paged, tokenInvalid, a.listMine},
		{get, mePath + "/orders", signedIn, paged, tokenInvalid, a.listMyOrders},
		{get, mePath + "/coupons", signedIn, paged, tokenInvalid, a.listMyCoupons},
		{get, mePath + "/notices", signedIn, paged, tokenInvalid, a.listNotices},
		{post, mePath + "/notices/read", signedIn, plain, tokenInvalid, a.readNotices},

		{post, "/v1/sales", sellers, plain, tokenInvalid, a.createSale},
		{get, "/v1/sales", public, paged, "", a.listSales},
		{get, oneSale, public, hot, unknownSale, a.showSale},
		{patch, oneSale, sellers, plain, unknownSale, a.changeSale},
		{del, oneSale, sellers, plain, unknownSale, a.deleteSale},
		{get, oneSale + "/prices", public, plain, unknownSale, a.showPrices},
		{get, oneSale + "/receipts", owners, paged, unknownSale, a.listOfSale},
		{get, oneSale + "/summary", owners, plain, unknownSale, a.showSummary},
		{post, oneSale + "/bids", buyers, hot, unknownSale, a.bid},
		{post, oneSale + "/reservations", buyers, hot, unknownSale, a.reserve},
		{post, oneSale + "/claims", buyers, hot, unknownSale, a.claim},
		{post, oneSale + "/joins", buyers, hot, unknownSale, a.join},
		{put, oneSale + "/watch", buyers, plain, unknownSale, a.watch},
		{del, oneSale + "/watch", buyers, plain, unknownSale, a.unwatch},
		{get, "/v1/coupons", buyers, paged, tokenInvalid, a.listClaimable},

		{get, oneSale + "/events", public, hot, unknownSale, a.followSale},

		{get, "/v1/receipts", signedIn, polled, "", a.pollReceipts},
		{get, oneReceipt, signedIn, hot, unknownReceipt, a.showReceipt},
		{get, oneReceipt + "/events", signedIn, hot, unknownReceipt, a.followReceipt},
		{get, mePath + "/receipts/events", signedIn, hot, "", a.followMine},
		{post, oneReceipt + "/pay", buyers, hot, unknownReceipt, a.about(a.admission.Pay)},
		{post, oneReceipt + "/cancel", buyers, hot, unknownReceipt, a.about(a.admission.Cancel)},
		{post, oneReceipt + "/refund", buyers, hot, unknownReceipt, a.about(a.admission.Refund)},
		{post, oneReceipt + "/change", buyers, hot, unknownReceipt, a.changeSlot},
		{put, oneReceipt + "/attendance", sellers, plain, unknownReceipt, a.attend},

		{post, "/v1/stores", sellers, plain, tokenInvalid, a.createStore},
		{get, "/v1/stores", public, paged, "", a.listStores},
		{get, oneStore, public, hot, unknownStore, a.showStore},
		{patch, oneStore, sellers, plain, unknownStore, a.changeStore},
		{del, oneStore, sellers, plain, unknownStore, a.closeStore},
		{get, oneStore + "/slots", public, paged, unknownStore, a.listSlots},
		{post, oneStore + "/reservations", buyers, hot, unknownStore, a.reserveSlot},

		{get, operationsPath, admins, plain, "", a.showOperations},
		{get, operationsPath + "/dead-letters", admins, paged, "", a.listLetters},
		{get, oneLetter, admins, plain, unknownLetter, a.showLetter},
		{post, oneLetter + "/replay", admins, plain, unknownLetter, a.replayLetter},
		{del, oneLetter, admins, plain, unknownLetter, a.dropLetter},
		{post, operationsPath + "/audits", admins, plain, unknownSale, a.runAudit},
		{post, operationsPath + "/sales/:id/suspend", admins, plain, unknownSale, a.suspendSale},
		{post, operationsPath + "/sales/:id/resume", admins, plain, unknownSale, a.resumeSale},
		{get, seenReceiptsPath + ":id", admins, plain, unknownReceipt, a.showWhose},

		{get, openAPIPath, anybody, plain, "", a.showSheet},
		{get, docsPath, anybody, plain, "", a.showSheet},
		{get, errorsPath, anybody, plain, "", a.showSheet},
	}
}

// busy is more for what crowds ask.
func (r route) busy() int {
	switch r.use {
	case hot, polled:
		return 1
	}
	return 0
}

// guarded asks who is asking before r answers, and ends what takes too long. The
// request's own context would end with the server, so it is not used: what is in
// hand at a shutdown is finished.
func (a *API) guarded(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		who, err := a.admitted(c, r.who)
		if err != nil {
			return err
		}
		if r.use != paged && r.use != polled {
			if _, err := readQuery(c); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.workTimeout)
		defer cancel()
		if err := r.answer(ctx, c, who); !errors.Is(err, sale.ErrUnknown) || r.unknown == "" {
			return err
		}
		return &problem{code: r.unknown}
	}
}

// admitted answers who asks, the zero Who where that does not matter.
func (a *API) admitted(c *fiber.Ctx, to access) (who accounts.Who, err error) {
	if to.token == ignored {
		return who, nil
	}
	switch who, err = a.who(c); {
	case to.token == optional && errors.Is(err, errNoToken):
		return accounts.Who{}, nil
	case err != nil:
		return accounts.Who{}, err
	case len(to.roles) > 0 && !slices.Contains(to.roles, who.Role):
		return accounts.Who{}, &problem{code: forbidden}
	}
	return who, nil
}

// saleID (also of a store) and receiptID read the :id of a path in its one spelling. What cannot be
// the name of anything names nothing: it is as unknown as one that is not there.
func saleID(c *fiber.Ctx) (int64, error) { return parseSaleID(c.Params("id")) }

func receiptID(c *fiber.Ctx) (uuid.UUID, error) { return parseReceiptID(c.Params("id")) }

func parseSaleID(word string) (int64, error) {
	id, err := strconv.ParseInt(word, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != word {
		return 0, sale.ErrUnknown
	}
	return id, nil
}

func parseReceiptID(word string) (uuid.UUID, error) {
	id, err := uuid.Parse(word)
	if err != nil || id.String() != word {
		return uuid.UUID{}, sale.ErrUnknown
	}
	return id, nil
}
