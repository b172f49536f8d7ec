package web

import (
	"net/http"
	"net/url"

	"sluice/client"
)

// letters is GET /operate/dead-letters: requests that could not be settled.
func (f *Front) letters(v *visit) error {
	some, more, err := take(v.api.DeadLetters(v.ctx), v.shown())
	if err != nil {
		return err
	}
	body := struct {
		Letters []client.DeadLetter
		Done    string // drop, or gone: somebody was faster
		More    int
	}{some, v.r.URL.Query().Get("done"), 0}
	if more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "operate-letters", v.say("operate.letters"), body)
	return nil
}

// letter is GET /operate/dead-letters/{id}: all that is known of one.
func (f *Front) letter(v *visit) error {
	l, err := v.api.DeadLetter(v.ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := struct {
		client.DeadLetter
		No string // why nothing came of what was asked about it
	}{l, v.r.URL.Query().Get("no")}
	v.render(http.StatusOK, "operate-letter", v.say("operate.letter"), body)
	return nil
}

// letterAsk is POST /operate/dead-letters/{id}/{verb}: ask for it once more, or forget it.
// Whoever sends it twice asks once: a letter goes with its replay, and then it is gone.
func (f *Front) letterAsk(v *visit) error {
	id := v.r.PathValue("id")
	var err error
	switch v.r.PathValue("verb") {
	case "replay":
		var receipt string
		if receipt, err = v.api.ReplayDeadLetter(v.ctx, id); err == nil {
			return v.go303("/operate/lookup?done=replay&receipt=" + receipt)
		}
		if no := problemOf(err); no != nil && no.Status == http.StatusConflict {
			return v.go303("/operate/dead-letters/" + url.PathEscape(id) + "?no=" + string(no.Code))
		}
	case "drop":
		if err = v.api.DropDeadLetter(v.ctx, id); err == nil {
			return v.go303("/operate/dead-letters?done=drop")
		}
	default:
		return &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	if client.CodeOf(err) == client.CodeUnknownLetter {
		return v.go303("/operate/dead-letters?done=gone")
	}
	return err
}
