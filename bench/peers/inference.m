% The Sparse DNN Graph Challenge's own algorithm (Kepner et al., HPEC 2019), in GNU Octave or MATLAB.
%   problem.mat: Y0 (rows x neurons), W{1}, W{2}, ..., bias(1), bias(2), ..., all double
%   answer.mat:  seconds, categories
load('problem.mat');
tic;
Y = Y0;
for k = 1:numel(W)
  Z = Y * W{k};
  % the bias goes to the nonzero sums only
  Y = Z + spones(Z) * bias(k);
  Y(Y < 0) = 0;
  Y(Y > 32) = 32;
end
categories = find(sum(Y, 2) > 0);
seconds = toc;
save('-v6', 'answer.mat', 'seconds', 'categories');
