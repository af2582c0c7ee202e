package store

import (
	"testing"
	"time"
)

func TestTrunkKeepsItsSecretsSealed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	made, err := s.AddTrunk(t.Context(), Trunk{Name: "a", Password: "one", TrunkSecrets: TrunkSecrets{InPassword: "two", TLSKey: "three"},
		TrunkSettings: TrunkSettings{TrunkOptions: TrunkOptions{Ptime: 30}}})
	if err != nil {
		t.Fatal(err)
	}
	made.TLSKey, made.StirKey = "four", "five"
	if err := s.UpdateTrunk(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	got, err := s.Trunk(t.Context(), "a")
	if err != nil || got.Password != "one" || got.InPassword != "two" || got.TLSKey != "four" || got.StirKey != "five" || got.Ptime != 30 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Secrets that were kept before there was a third are still read.
func TestOlderSecretsAreRead(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got TrunkSecrets
	if err := s.openSecrets(s.seal.seal(`["two","three"]`), &got); err != nil || got != (TrunkSecrets{InPassword: "two", TLSKey: "three"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMinutesOfATrunkAreThoseOfAnsweredCallsOut(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for id, c := range map[string]Call{
		"counts":        {Trunk: "a", Direction: "out", Started: today.Add(time.Minute), Ended: today.Add(11 * time.Minute), Detail: CallDetail{Status: 200}},
		"in":            {Trunk: "a", Direction: "in", Started: today, Ended: today.Add(time.Hour), Detail: CallDetail{Status: 200}},
		"not answered":  {Trunk: "a", Direction: "out", Started: today, Ended: today.Add(time.Hour), Detail: CallDetail{Status: 486}},
		"another trunk": {Trunk: "b", Direction: "out", Started: today, Ended: today.Add(time.Hour), Detail: CallDetail{Status: 200}},
		"yesterday":     {Trunk: "a", Direction: "out", Started: today.Add(-time.Hour), Ended: today.Add(-time.Minute), Detail: CallDetail{Status: 200}},
		"goes on":       {Trunk: "a", Direction: "out", Started: today, Detail: CallDetail{Status: 200}},
	} {
		c.ID = id
		if err := s.SaveCall(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if spent, err := s.SpentOn(t.Context(), "a", today); err != nil || spent != 10*time.Minute {
		t.Errorf("%v, %v", spent, err)
	}
}
