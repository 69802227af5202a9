"""Deviation over repeats of P, R, D, C, AuthPct, realism against estimates by rows and by delete-one jackknives: the first is too small, the latter too large."""
import numpy as np, sys
def knn(D,k):
    idx=np.argpartition(D,k,axis=1)[:,:k+1]
    d=np.take_along_axis(D,idx,1); o=np.argsort(d,axis=1)
    return np.take_along_axis(idx,o,1),np.take_along_axis(d,o,1)
def sq(a,b): 
    d=(a*a).sum(1)[:,None]+(b*b).sum(1)-2*a@b.T; return np.maximum(d,0)
def prdc(R,G,k):
    N,M=len(R),len(G)
    rr=sq(R,R); np.fill_diagonal(rr,np.inf); gg=sq(G,G); np.fill_diagonal(gg,np.inf); rg=sq(R,G)
    ri,rd=knn(rr,k+1); gi,gd=knn(gg,k+1)
    out={}
    def manifold_effects(ri,rd,rg): # balls rows, points columns; returns per point covered, effects of ball deletion (full), (fixed radius)
        N,M=rg.shape
        ins=rg<rd[:,k-1:k]; sh=(rg<rd[:,k:k+1])&~ins
        c=ins.sum(0); eff=np.zeros(N); fix=np.zeros(N)
        for j in range(M):
            if c[j]>1: continue
            s=np.nonzero(sh[:,j])[0]
            U=np.unique(ri[s,:k]) if len(s) else np.array([],int)
            if c[j]==0: eff[U]+=1
            else:
                i0=np.nonzero(ins[:,j])[0][0]; fix[i0]-=1
                if i0 not in U: eff[i0]-=1
        return c>0,eff,fix,ins,sh,c
    def var_pts(cov): return cov.var(ddof=1)/len(cov)
    cov,eff,fix,ins,sh,c=manifold_effects(ri,rd,rg)
    def jk(e,n): return (n-1)/n*((e-e.mean())**2).sum()
    out['P']=(cov.mean(),var_pts(cov.astype(float)),jk(eff/M,N),jk(fix/M,N))
    # density
    ni=ins.sum(1); npl=(ins|sh).sum(1)
    e=-ni.astype(float).copy(); f=e.copy()
    np.add.at(e,ri[:,:k].ravel(),np.repeat(npl-ni,k))
    out['D']=(c.mean()/k,c.var(ddof=1)/M/k**2,jk(e/(k*M),N),jk(f/(k*M),N))
    covr,eff,fix,_,_,_=manifold_effects(gi,gd,rg.T)
    out['R']=(covr.mean(),var_pts(covr.astype(float)),jk(eff/N,M),jk(fix/N,M))
    # coverage
    s=np.partition(rg,1,axis=1); m1,m2=s[:,0],s[:,1]; a=rg.argmin(1)
    cv=(m1<rd[:,k-1]).astype(float)
    grow=(m1<rd[:,k])*1.-cv
    e=-cv.copy()
    np.add.at(e,ri[:,:k].ravel(),np.repeat(grow,k))
    T=(cv.sum()+e)/(N-1)
    f=np.zeros(M); np.add.at(f,a,((m1<rd[:,k-1])&(m2>=rd[:,k-1]))*-1.)
    out['C']=(cv.mean(),cv.var(ddof=1)/N,jk(f/N,M),jk(T,N))  # cond (points), gen deletion, real deletion full
    # auth
    ai,ad=ri,rd
    i2=np.argpartition(rg.T,1,axis=1)[:,:2]; dd=np.take_along_axis(rg.T,i2,1); o=np.argsort(dd,1); i2=np.take_along_axis(i2,o,1); dd=np.take_along_axis(dd,o,1)
    i,d=i2[:,0],dd[:,0]
    au=(ad[i,0]<d).astype(float); e=np.zeros(N)
    s=i2[:,1]; as_=np.where(ai[s,0]==i,ad[s,1],ad[s,0]); np.add.at(e,i,(as_<dd[:,1])*1.-au)
    np.add.at(e,ai[i,0],(ad[i,1]<d)*1.-au)
    out['A']=(au.mean(),au.var(ddof=1)/M,jk(e/M,N),0)
    # realism
    r=rd[:,k-1]; h=r<np.median(r); sc=np.sqrt((r[h][:,None]/rg[h]).max(0))
    out['Re']=(sc.mean(),sc.var(ddof=1)/M,0,0)
    out['Rmed']=(np.median(sc),0,0,0)
    return out
n,d,scale,shift,reps=int(sys.argv[1]),int(sys.argv[2]),float(sys.argv[3]),float(sys.argv[4]),int(sys.argv[5])
rng=np.random.default_rng(0); res={}
for t in range(reps):
    o=prdc(rng.normal(size=(n,d)),rng.normal(size=(n,d))*scale+shift,5)
    for a,b in o.items(): res.setdefault(a,[]).append(b)
print(sys.argv[1:])
for a,b in res.items():
    b=np.array(b); v=b[:,0]; 
    print(f"{a:5} mean {v.mean():.4f} sd {v.std(ddof=1):.5f}  est: points {np.sqrt(b[:,1].mean()):.5f} other(full) {np.sqrt(b[:,2].mean()):.5f} fixed {np.sqrt(b[:,3].mean()):.5f}  tot {np.sqrt(b[:,1].mean()+b[:,2].mean()):.5f} totfix {np.sqrt(b[:,1].mean()+b[:,3].mean()):.5f}; tot3 {np.sqrt(b[:,2].mean()+b[:,3].mean()):.5f}")
