package web

import (
	"net/http"
	"slices"
	"strings"

	"sluice/client"
)

// inspection is the page of an audit.
type inspection struct {
	Sale   int64               // 0: of everything
	Report *client.AuditReport // nil: none was asked for
	No     string              // why there is none
}

// Took is how long the audit took.
func (i inspection) Took(lang string) string { return ageIn(lang, i.Report.Took) }

// auditForm is GET /operate/audits.
func (f *Front) auditForm(v *visit) error {
	v.render(http.StatusOK, "operate-audit", v.say("operate.audit"), inspection{})
	return nil
}

// audit is POST /operate/audits. It changes nothing, and what it finds is kept nowhere: so
// the report is the answer, and whoever loads that again has another one made.
func (f *Front) audit(v *visit) error {
	body := inspection{Sale: v.amount("sale")}
	status := http.StatusOK
	report, err := v.api.Audit(v.ctx, body.Sale)
	switch no := problemOf(err); {
	case err == nil:
		body.Report = &report
	case no != nil && (no.Status == http.StatusConflict || no.Code == client.CodeUnknownSale || no.Code == client.CodeInvalidFields):
		status, body.No = no.Status, "code."+string(no.Code)
	default:
		return err
	}
	v.render(status, "operate-audit", v.say("operate.audit"), body)
	return nil
}

// whose is the page of whose a receipt is.
type whose struct {
	Asked string // the ID that was looked for
	Found *client.ReceiptOwner
	Of    client.Sale
	No    string // why nothing was found
	Done  string
}

// unfound are answers about a receipt that leave one to look for another.
var unfound = []client.Code{client.CodeUnknownReceipt, client.CodeNotFound, client.CodeLost, client.CodeDropped, client.CodeInvalidFields}

// lookup is GET /operate/lookup?receipt=…: whose it is, and what became of it.
func (f *Front) lookup(v *visit) error {
	query := v.r.URL.Query()
	body := whose{Asked: strings.TrimSpace(query.Get("receipt")), Done: query.Get("done")}
	status := http.StatusOK
	if body.Asked != "" {
		found, err := v.api.ReceiptOwner(v.ctx, body.Asked)
		switch no := problemOf(err); {
		case err == nil:
			body.Found = &found
			if body.Of, err = v.api.Sale(v.ctx, found.Receipt.Sale); err != nil && client.CodeOf(err) != client.CodeUnknownSale {
				return err
			}
		case no != nil && slices.Contains(unfound, no.Code):
			status, body.No = no.Status, "code."+string(no.Code)
		default:
			return err
		}
	}
	v.render(status, "operate-receipt", v.say("operate.lookup"), body)
	return nil
}
