package process

import (
	"errors"
	"net/http"

	"sluice/internal/audit"
)

// auditing is GET /audit: one full audit, now. It reads everything there is, so it is
// run for one asker at a time, also of POST /v1/operations/audits, and ends when he hangs
// up.
type auditing struct{ *Process }

func (a *auditing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report, err := a.Audit.Alone(r.Context(), 0)
	switch {
	case errors.Is(err, audit.ErrUnderWay):
		w.Header().Set("Retry-After", "1")
		answerJSON(w, a.log, http.StatusServiceUnavailable, []string{"audit: another one is under way"})
	case err != nil:
		a.log.Warn().Err(err).Msg("audit not finished")
		answerJSON(w, a.log, http.StatusServiceUnavailable, []string{"audit: " + err.Error()})
	default:
		answerJSON(w, a.log, http.StatusOK, report)
	}
}
