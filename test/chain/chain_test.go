// Package chain_test runs a complete login on one machine. A real kube-apiserver authenticates callers with the released
// aws-iam-authenticator. Callers log in with real tokens. In TestAdmittedEditsKeepTheLogins, the API server also calls the real
// webhook for each change of aws-auth. Only AWS is not real: STS, EC2, EKS, IAM and CloudTrail have stand-ins.
//
// The files:
//   - chain_test.go and migrate_test.go state the promises.
//   - edits_test.go has the callers and the changes.
//   - apiserver_test.go has the processes and their clients.
//   - authenticator_test.go has the authenticator.
//   - aws_test.go has STS, EC2 and the tokens.
//   - clusters_test.go tests kubectl awsauth --clusters.
//   - doctor_test.go and doctorfaults_test.go test kubectl awsauth doctor.
package chain_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

var (
	count = flag.Int("edits", 60, "admitted edits to wait for")
	seed  = flag.Uint64("seed", 1, "seed of the edits")
)

// phases are the states of a cluster that moves from aws-auth to access entries. kept are the callers whose principals always
// have an access entry in the phase. Principals that no phase keeps have one at random.
var phases = []struct {
	mode access.Mode
	kept []int
}{
	{access.ModeConfigMap, nil},
	{access.ModeAPIAndConfigMap, []int{aliceCaller, podCaller}},
	{access.ModeAPIAndConfigMap, []int{adminCaller, aliceCaller, nodeCaller, podCaller}},
	{access.ModeAPI, []int{adminCaller, aliceCaller, nodeCaller, podCaller}},
}

// entriesEvery is the number of admitted edits between two changes of the access entries.
const entriesEvery = 10

// TestAdmittedEditsKeepTheLogins: callers edit aws-auth at random, and the webhook reviews each edit. After each admitted edit,
// protected principals, nodes and the requester can still log in. The authenticator gives every caller the username and the
// groups that the guard computes.
func TestAdmittedEditsKeepTheLogins(t *testing.T) {
	began := time.Now()
	s := &state{T: t, random: rand.New(rand.NewPCG(*seed, 0)), model: firstModel()}
	s.chain = start(t, write(s.random, s.model, 0))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the authenticator's log ends\n%s", s.program.LogEnd())
		}
	})
	started := time.Since(began)
	for i, phase := range phases {
		s.mode, s.kept = phase.mode, phase.kept
		s.changeEntries()
		for quota := (i + 1) * *count / len(phases); s.admitted < quota; {
			if s.edit() && s.admitted%entriesEvery == 0 {
				s.changeEntries()
			}
		}
	}
	fmt.Fprintf(t.Output(), "seed %d: %d edits admitted, %d refused, %d changes of access entries, %d logins (%d refused): %d lockouts, %d differences; %s, of them %s to start\n",
		*seed, s.admitted, s.refused, s.reads, s.logins, s.loginsRefused, s.lockouts, s.differences, time.Since(began).Round(time.Second), started.Round(time.Second))
	if s.refused == 0 || s.loginsRefused == 0 {
		t.Errorf("%d edits and %d logins were refused, want some of both", s.refused, s.loginsRefused)
	}
}

// state is the state of the test.
type state struct {
	*testing.T
	*chain

	random *rand.Rand
	model  generate.Model // the entries of the stored aws-auth; the stored text may have a mistake in addition
	mode   access.Mode
	kept   []int
	stamp  int                    // number of the last change
	guard  func(int) access.Login // returns the login that the guard computes for a caller

	admitted, refused, refusedInARow, logins, loginsRefused, lockouts, differences int
}

// changeEntries gives the authenticator and ekstest the mode and new access entries, and checks the logins of all callers.
func (s *state) changeEntries() {
	s.stamp++
	entries := newEntries(s.random, s.kept, s.stamp)
	s.eks.Set(s.mode, entries...)
	s.authenticator.setEntries(s.T, entries)
	s.authenticator.setMode(s.T, s.mode)
	s.readEntries(s.T)
	s.settle()
	s.check("access entries in mode " + string(s.mode))
}

// maxRefused is the number of refused edits in a row after which the test fails. The guard admits about half of the edits.
const maxRefused = 200

// edit tries one edit of aws-auth as a caller who can log in. In one edit of six, the text has a mistake. edit returns
// false if the webhook refuses the edit. After an admitted edit, it checks the logins of all callers.
func (s *state) edit() (admitted bool) {
	requester := s.random.IntN(canaryCaller)
	for s.guard(requester).Admitted < access.Always {
		requester = s.random.IntN(canaryCaller)
	}
	before := s.guard(requester)
	s.stamp++
	model := nextModel(s.random, s.model)
	data := write(s.random, model, s.stamp)
	if s.random.IntN(6) == 0 {
		generate.BreakText(s.random, data)
	}
	if err := s.chain.edit(s.T, requester, data); err != nil {
		s.refused++
		s.refusedInARow++
		if s.refusedInARow > maxRefused {
			s.Fatalf("the webhook refuses all edits; the last one: %v\naws-auth: %q", err, s.stored(s.T).Data)
		}
		return false
	}
	s.admitted++
	s.refusedInARow = 0
	s.model = model
	s.settle()
	change := fmt.Sprintf("edit %d, by %s in mode %s", s.admitted, callers[requester].arn, s.mode)
	after := s.check(change)
	switch {
	case after[requester] == nil:
		s.lockout("%s: the requester can't log in any more", change)
	case !slices.ContainsFunc(before.Users, func(u access.User) bool { return !isAdmin(u) }) && !isAdmin(*after[requester]):
		s.lockout("%s: the requester is no admin any more: %s", change, after[requester])
	}
	return true
}

// settle waits until the authenticator has read the last change. Each source of access has a canary, whose username has the
// number of the change. Both canaries must log in as the guard computes. settle sets guard to the guard's view of the new
// state.
func (s *state) settle() {
	object := s.stored(s.T).Load()
	client, err := eks.New(s.Context(), ekstest.Name, "", s.cluster.Admin.CAData)
	if err != nil {
		s.Fatal(err)
	}
	cluster, err := client.Read(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	entries := access.NewEntries(cluster, nil)
	s.guard = func(i int) access.Login {
		c := access.NewCaller(callers[i].arn)
		c.AccessKeyID = accessKey(i)
		return entries.Login(object, c)
	}
	eventually(s.T, func(context.Context) error {
		for _, canary := range []int{canaryCaller, entryCanaryCaller} {
			if got, want := s.login(s.T, canary), s.guard(canary); !agree(got, want) {
				return fmt.Errorf("the authenticator has not read the change: the canary %s logs in as %v, and the guard says %+v", callers[canary].arn, got, want)
			}
		}
		return nil
	})
}

// check logs all callers in, and returns their users. The user of a caller who can't log in is nil. check reports and counts the
// logins that differ from those that the guard computes, and the lockouts of protected principals and nodes.
func (s *state) check(change string) []*access.User {
	after := make([]*access.User, len(callers))
	for i := range callers[:canaryCaller] {
		after[i] = s.login(s.T, i)
		s.logins++
		if after[i] == nil {
			s.loginsRefused++
		}
		if want := s.guard(i); !agree(after[i], want) {
			s.differences++
			s.Errorf("%s: %s logs in as %v, and the guard says %+v", change, callers[i].arn, after[i], want)
		}
	}
	for i, holds := range map[int]func(access.User) bool{
		adminCaller: isAdmin, aliceCaller: func(access.User) bool { return true }, nodeCaller: isNode, podCaller: isNode,
	} {
		if after[i] == nil || !holds(*after[i]) {
			s.lockout("%s: %s logs in as %v", change, callers[i].arn, after[i])
		}
	}
	return after
}

// lockout reports and counts a lockout.
func (s *state) lockout(format string, args ...any) {
	s.Helper()
	s.lockouts++
	s.Errorf("lockout: "+format+"\naws-auth: %q", append(args, s.stored(s.T).Data)...)
}

// agree reports whether a login is one that the guard considers possible. It inserts the name of an instance into the guard's
// login, because only the authenticator asks EC2 for this name.
func agree(got *access.User, want access.Login) bool {
	if want.Unknown != "" {
		return false
	}
	if got == nil {
		return want.Admitted < access.Always
	}
	name := strings.NewReplacer(awsauth.InstanceTemplate, privateDNSName)
	return slices.ContainsFunc(want.Users, func(u access.User) bool {
		groups := slices.Clone(u.Groups)
		for i := range groups {
			groups[i] = name.Replace(groups[i])
		}
		// The API server keeps each group once.
		return got.Username == name.Replace(u.Username) && slices.Equal(sorted(got.Groups), sorted(groups))
	})
}

// sorted returns the groups in order and without duplicates. It leaves out the group that every login has.
func sorted(groups []string) []string {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == awsauth.AuthenticatedGroup })
	slices.Sort(groups)
	return slices.Compact(groups)
}

// eventually waits until check returns no error. It fails the test after 30 seconds, ten times as long as check takes on a
// busy machine.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := controlplane.Poll(ctx, check); err != nil {
		t.Fatal(err)
	}
}
