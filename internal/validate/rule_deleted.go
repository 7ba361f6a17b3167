package validate

var deleted = &Rule{
	ID:       "deleted",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a request deletes aws-auth while people or nodes log in through it",
	Doc: `
When aws-auth is deleted, the authenticator drops all entries at once: every mapped role, user and node loses
access. Some tools replace an object by deleting and creating it. Such a tool loses its own access with the
deletion, and then can't create aws-auth again.

Change the object instead of replacing it. Move every principal to an access entry before you
delete aws-auth.

If aws-auth is already being deleted, the update that removes its last finalizer completes the deletion. The
guard treats that update as a deletion.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, startLoadConfigMap; terraform-aws-eks#2644; pulumi-eks#918",
	Check:  checkDeleted,
}

func checkDeleted(p *Pass) {
	if p.Change.Operation != Delete {
		return
	}
	n, _ := p.effective(p.Old)
	switch {
	case n == 0:
	case p.Change.New != nil: // an update that completes a deletion
		p.Reportf(wholeObject, p.deletionHint(),
			"removing the last finalizer completes the deletion of aws-auth and takes away the access of %s", counted(n))
	default:
		p.Reportf(wholeObject, p.deletionHint(), "deleting aws-auth takes away the access of %s", counted(n))
	}
}
