package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

func TestRealSeller(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	bob, tokens := h.join("bob@example.com", client.Seller)
	opens := time.Now().Add(time.Hour)
	lamps := client.NewSale{
		Title: "Lamps", Description: "Brass.\nUsed.", Stock: 10, Limit: 2, ShowStock: new(false), OpensAt: opens, ClosesAt: opens.Add(10 * time.Minute),
		RefundWindow: new(time.Hour), Policy: client.Constant, StartPrice: 1000, Drop: 10, Period: time.Minute,
	}
	made, err := bob.CreateSale(ctx, lamps, client.WithKey("lamps"))
	h.must(err)
	again, err := bob.CreateSale(ctx, lamps, client.WithKey("lamps"))
	h.must(err)
	if made.ID == 0 || again.ID != made.ID || made.Seller != tokens.Account || made.State != client.Scheduled || made.Price != 1000 ||
		made.Period != time.Minute || made.RefundWindow != time.Hour || made.ShowStock || *made.Stock != (client.Stock{Total: 10, Free: 10}) ||
		!made.OpensAt.Equal(opens.Truncate(time.Millisecond)) || made.Description != lamps.Description {
		t.Errorf("made %+v, then %+v", made, again)
	}
	_, err = bob.CreateSale(ctx, client.NewSale{Title: " ", Stock: 1, Limit: 2, OpensAt: opens, ClosesAt: opens, Policy: client.Percentage, StartPrice: 1, Rate: 1, Period: time.Second})
	h.refused("a crooked sale", err, client.CodeInvalidFields)
	var problem *client.Problem
	if !errors.As(err, &problem) || !slices.ContainsFunc(problem.Fields, func(f client.Field) bool { return f.Pointer == "#/stock" && f.Detail != "" }) || problem.RequestID == "" {
		t.Errorf("got %+v", problem)
	}

	nobody := h.client()
	seen, err := nobody.Sale(ctx, made.ID)
	h.must(err)
	if seen.Stock != nil || seen.Title != "Lamps" {
		t.Errorf("nobody sees %+v", seen)
	}
	prices, err := nobody.Prices(ctx, made.ID)
	h.must(err)
	if len(prices) != 10 || !prices[0].At.Equal(made.OpensAt) || prices[0].Price != 1000 || prices[9].Price != 910 {
		t.Errorf("prices %+v", prices)
	}

	later := opens.Add(time.Minute)
	edited, err := bob.EditSale(ctx, made.ID, client.SaleEdit{
		Title: new("Brass lamps"), Stock: new(int64(20)), OpensAt: &later, ClosesAt: new(later.Add(5 * time.Minute)), ShowStock: new(true),
		Policy: new(client.Percentage), Rate: new(int64(500)), Period: new(30 * time.Second), RefundWindow: new(time.Duration(0)),
	})
	h.must(err)
	if edited.Title != "Brass lamps" || edited.Stock.Total != 20 || edited.Rate != 500 || edited.Drop != 0 || edited.Period != 30*time.Second ||
		edited.RefundWindow != 0 || !edited.RefundUntil.IsZero() || !edited.ShowStock {
		t.Errorf("edited %+v", edited)
	}
	_, err = bob.EditSale(ctx, made.ID, client.SaleEdit{Limit: new(int64(30))})
	h.refused("an edit beyond the stock", err, client.CodeInvalidFields)
	_, err = bob.GrowStock(ctx, made.ID, 5)
	h.refused("a growth before opening", err, client.CodeNotOpen)

	ada, _ := h.join("ada@example.com", client.Buyer)
	_, err = ada.CreateSale(ctx, lamps)
	h.refused("a buyer's sale", err, client.CodeForbidden)
	eve, _ := h.join("eve@example.com", client.Seller)
	_, err = eve.EditSale(ctx, made.ID, client.SaleEdit{Title: new("Mine")})
	h.refused("another's sale", err, client.CodeNotYours)
	_, err = eve.Summary(ctx, made.ID)
	h.refused("another's figures", err, client.CodeNotYours)

	for _, title := range []string{"Chairs", "Tables"} {
		opens = opens.Add(time.Hour)
		lamps.Title, lamps.OpensAt, lamps.ClosesAt = title, opens, opens.Add(time.Minute)
		_, err = bob.CreateSale(ctx, lamps)
		h.must(err)
	}
	titles := func(f client.SaleFilter) (all string) {
		t.Helper()
		for _, s := range collect(h, nobody.Sales(ctx, f)) {
			all += s.Title + " "
		}
		return all
	}
	for want, filter := range map[string]client.SaleFilter{
		"Brass lamps Chairs Tables ": {},
		"Tables Chairs Brass lamps ": {Order: client.ByClosingLast, Kind: client.Auction, State: client.Scheduled, Seller: tokens.Account},
		"":                           {State: client.Closed},
	} {
		if got := titles(filter); got != want {
			t.Errorf("%+v: %q, not %q", filter, got, want)
		}
	}
	h.refused("deletion of another's", eve.DeleteSale(ctx, made.ID), client.CodeNotYours)
	h.must(bob.DeleteSale(ctx, made.ID))
	_, err = nobody.Sale(ctx, made.ID)
	h.refused("what is deleted", err, client.CodeUnknownSale)
	h.refused("deletion of what is deleted", bob.DeleteSale(ctx, made.ID), client.CodeUnknownSale)
	h.refused("a farewell with open sales", bob.DeleteAccount(ctx, password), client.CodeAccountBusy)
}

// TestRealBids goes from bid to refund. A sale lasts at least a minute, so the
// test's is recorded behind the API's back when most of that is over.
func TestRealBids(t *testing.T) {
	h := build(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	bob, seller := h.join("bob@example.com", client.Seller)
	ada, buyer := h.join("ada@example.com", client.Buyer)
	_, err := ada.TopUp(ctx, 10_000)
	h.must(err)
	record, err := ledger.Open(ctx, ledger.Options{URL: h.postgres})
	h.must(err)
	defer record.Close()
	closes := sale.At(time.Now().Add(8 * time.Second))
	lamp, err := record.CreateSale(ctx, sale.Sale{
		Kind: sale.Auction, Seller: seller.Account, Title: "Lamps", Stock: 3, Limit: 3, RefundWindow: time.Hour, ShowStock: true,
		Price:   sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Minute},
		OpensAt: closes.Add(-time.Minute), ClosesAt: closes,
	}, 16)
	h.must(err)

	receipt, err := ada.Bid(ctx, lamp.ID, client.Bid{Quantity: 1, Price: 1200}, client.WithKey("first"))
	h.must(err)
	again, err := ada.Bid(ctx, lamp.ID, client.Bid{Quantity: 1, Price: 1200}, client.WithKey("first"))
	h.must(err)
	_, err = ada.Bid(ctx, lamp.ID, client.Bid{Quantity: 2, Price: 1200}, client.WithKey("first"))
	h.refused("the same key for more", err, client.CodeMismatch)
	bought, err := ada.Wait(ctx, receipt)
	h.must(err)
	if again.ID != receipt.ID || bought.ID != receipt.ID || bought.Status != client.Confirmed || bought.UnitPrice != 1000 || bought.Verb != client.VerbBid {
		t.Errorf("bought %+v", bought)
	}
	for reason, bid := range map[client.Reason]client.Bid{
		client.ReasonPriceChanged: {Quantity: 1, Price: 999},
		client.ReasonOverLimit:    {Quantity: 3, Price: 1000},
	} {
		receipt, err := ada.Bid(ctx, lamp.ID, bid)
		h.must(err)
		if rejected, err := ada.Wait(ctx, receipt); err != nil || rejected.Status != client.Rejected || rejected.Reason != reason {
			t.Errorf("%+v: %+v, %v", bid, rejected, err)
		}
	}
	_, err = bob.Bid(ctx, lamp.ID, client.Bid{Quantity: 1, Price: 1000})
	h.refused("a seller's bid", err, client.CodeForbidden)
	_, err = bob.Receipt(ctx, receipt.ID)
	h.refused("another's receipt", err, client.CodeNotYours)

	growth, err := bob.GrowStock(ctx, lamp.ID, 2)
	h.must(err)
	growth, err = bob.Wait(ctx, growth)
	h.must(err)
	if growth.Status != client.Confirmed || growth.Verb != client.VerbChange {
		t.Errorf("grown %+v", growth)
	}
	_, err = bob.EditSale(ctx, lamp.ID, client.SaleEdit{Title: new("Bright lamps")})
	h.must(err)
	_, err = bob.EditSale(ctx, lamp.ID, client.SaleEdit{Stock: new(int64(9))})
	h.refused("an edit after opening", err, client.CodeTooLate)
	h.refused("deletion after opening", bob.DeleteSale(ctx, lamp.ID), client.CodeTooLate)
	second, err := ada.Bid(ctx, lamp.ID, client.Bid{Quantity: 2, Price: 1000, Exact: true})
	h.must(err)
	second, err = ada.Wait(ctx, second)
	h.must(err)

	for open := true; open; time.Sleep(50 * time.Millisecond) {
		shown, err := h.client().Sale(ctx, lamp.ID)
		h.must(err)
		open = shown.State != client.Closed
	}
	_, err = ada.Bid(ctx, lamp.ID, client.Bid{Quantity: 1, Price: 1000})
	h.refused("a late bid", err, client.CodeClosed)
	refund, err := ada.Refund(ctx, receipt.ID)
	h.must(err)
	refund, err = ada.Wait(ctx, refund)
	h.must(err)
	if refund.Status != client.Confirmed || refund.Target != receipt.ID || refund.Verb != client.VerbRefund {
		t.Errorf("refund %+v", refund)
	}
	bought, err = ada.Receipt(ctx, receipt.ID)
	h.must(err)
	if bought.Status != client.Refunded {
		t.Errorf("after the refund %+v", bought)
	}

	var kinds string
	var sum int64
	for _, entry := range collect(h, ada.Statement(ctx)) {
		kinds += string(entry.Kind) + " "
		sum += entry.Amount
	}
	balance, err := ada.Balance(ctx)
	h.must(err)
	if kinds != "refund bid bid topup " || sum != balance || balance != 8000 {
		t.Errorf("%s add up to %d, not %d", kinds, sum, balance)
	}
	if mine := collect(h, ada.Receipts(ctx, client.ReceiptFilter{Sale: lamp.ID, Status: client.Refunded})); len(mine) != 1 || mine[0].ID != receipt.ID {
		t.Errorf("refunded are %+v", mine)
	}
	if all := collect(h, ada.Receipts(ctx, client.ReceiptFilter{})); len(all) != 3 {
		t.Errorf("mine are %+v", all)
	}
	theirs := collect(h, bob.SaleReceipts(ctx, lamp.ID, client.SaleReceiptFilter{Buyer: buyer.Account, From: lamp.OpensAt.Time(), To: time.Now()}))
	if len(theirs) != 2 || theirs[0].ID != second.ID || theirs[0].Buyer != buyer.Account || theirs[1].ID != receipt.ID {
		t.Errorf("the seller sees %+v", theirs)
	}
	summary, err := bob.Summary(ctx, lamp.ID)
	h.must(err)
	if summary.State != client.Closed || summary.Stock != (client.Stock{Total: 5, Free: 2, Sold: 3}) || summary.Revenue != 2000 || summary.Refunded != 1000 ||
		summary.PaidOut || summary.Receipts[client.Confirmed] != 1 || summary.Receipts[client.Refunded] != 1 {
		t.Errorf("summary %+v", summary)
	}
}
