"""Coverage of intervals by 5, 10, 20 splits and by half samples over repeats (P R D C AuthPct, median realism): why 5 splits."""
import numpy as np, sys
def sq(a,b): 
    d=(a*a).sum(1)[:,None]+(b*b).sum(1)-2*a@b.T; return np.maximum(d,0)
def stats(rr,gg,rg,k):
    N,M=rg.shape
    rs=np.partition(rr,k,axis=1)[:,:k+1]; rs.sort(1); gs=np.partition(gg,k,axis=1)[:,k]
    r=rs[:,k]; a=rs[:,1]
    ins=rg<r[:,None]
    i=rg.argmin(0); d=rg.min(0)
    h=r<np.median(r)
    sc=np.sqrt((r[h][:,None]/rg[h]).max(0))
    return np.array([ins.any(0).mean(),(rg<gs[None]).any(1).mean(),ins.sum()/k/M,(rg.min(1)<r).mean(),(a[i]<d).mean(),np.median(sc)])
n,d,scale,shift,reps=int(sys.argv[1]),int(sys.argv[2]),float(sys.argv[3]),float(sys.argv[4]),int(sys.argv[5])
rng=np.random.default_rng(1); T=[];est={g:[] for g in (5,10,20)};half=[]
for t in range(reps):
    R=rng.normal(size=(n,d));G=rng.normal(size=(n,d))*scale+shift
    rr,gg,rg=sq(R,R),sq(G,G),sq(R,G); np.fill_diagonal(rr,0); np.fill_diagonal(gg,0)
    T.append(stats(rr,gg,rg,5))
    for g in est:
        m=n//g
        if m<8: continue
        v=[]
        for s in range(g):
            q=slice(s*m,s*m+m)
            v.append(stats(rr[q,q],gg[q,q],rg[q,q],5))
        est[g].append(np.std(v,axis=0,ddof=1)/np.sqrt(g))
    v=[]
    for s in range(20):
        p=rng.permutation(n)[:n//2]; q=rng.permutation(n)[:n//2]
        v.append(stats(rr[np.ix_(p,p)],gg[np.ix_(q,q)],rg[np.ix_(p,q)],5))
    half.append(np.std(v,axis=0,ddof=1))
T=np.array(T)
from scipy.stats import t as td
print(sys.argv[1:],"P R D C A Rmed"); print(" mean",T.mean(0).round(4)); print(" sd  ",T.std(0,ddof=1).round(5))
for g,e in list(est.items())+[(20.5,half)]:
    if not e: continue
    e=np.array(e); q=td.ppf(.975,int(g)-1)
    print(f" {g:5} rms {np.sqrt((e**2).mean(0)).round(5)} cover {(np.abs(T-T.mean(0))<=q*e).mean(0).round(3)}")
